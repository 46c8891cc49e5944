"""Gateways for clients that others wrote."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clients_serving import OTHERS, Served, start, stop

from counting_upstream import CountingUpstream, obliging


@pytest.fixture(scope="session")
def one_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with CountingUpstream() as upstream:
        served, process = start(tmp_path_factory.mktemp("served"), upstream)
        yield served
        stop(process)


@pytest.fixture
def served(one_gateway: Served) -> Served:
    """The gateway, counting from here."""
    one_gateway.upstream.say = obliging
    one_gateway.before = one_gateway.ledger_s()
    one_gateway.upstream.made.clear()
    return one_gateway


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[str], Served]]:
    """Starts a gateway of one's own, with limits."""
    with CountingUpstream() as upstream:
        processes = []

        def begin(limits: str) -> Served:
            found, process = start(tmp_path, upstream, limits)
            processes.append(process)
            return found

        yield begin
        for process in processes:
            stop(process)


@pytest.fixture
def others_python() -> Path:
    """The Python that has the other clients; made by `make clients`."""
    python = OTHERS / "bin" / "python"
    if not python.exists():
        pytest.skip("no .venv-clients: make clients")
    return python
