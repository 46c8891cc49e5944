"""A real `bursar serve` process before a counting upstream, for clients that others wrote."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from bursar.ledger import Ledger
from counting_upstream import CountingUpstream, obliging

ROOT = Path(__file__).parents[2]
OTHERS = ROOT / ".venv-clients"
"""Where `make clients` puts the clients that don't share our own packages."""

CONFIG = """
[server]
port = {port}
[ledger]
place = "{folder}/gateway.sqlite"
[requests]
timeout_s = 20
auto = ["m"]
[access]
keys = "none"
{limits}
[[models]]
name = "m"
usd_per_mtok_in = 1.0
usd_per_mtok_out = 2.0
retries = 0
[[models.upstreams]]
name = "mock"
url = "{url}"
"""


@dataclass
class Served:
    """A gateway, what is behind it, and its books."""

    url: str
    upstream: CountingUpstream
    place: str
    before: tuple[int, int] = (0, 0)

    def ledger_s(self) -> tuple[int, int]:
        """(tokens in, tokens out) charged so far, once all holds are closed; the books verify."""
        with Ledger(self.place, create=False) as ledger:
            before = time.monotonic() + 10
            while ledger.open_holds() and time.monotonic() < before:
                time.sleep(0.01)
            ledger.verify()
            assert not ledger.open_holds()
            spent = [t.spent for t in ledger.accounts() if t.path == "local"]
        return (
            int(sum(s.tokens_in or 0 for s in spent)),
            int(sum(s.tokens_out or 0 for s in spent)),
        )

    def check_sums(self) -> None:
        """Since the test began, the ledger charged what the upstream counted."""
        now = self.ledger_s()
        charged = now[0] - self.before[0], now[1] - self.before[1]
        assert charged == self.upstream.billed
        assert self.upstream.made, "the client asked nothing"


def start(folder: Path, upstream: CountingUpstream, limits: str = "") -> tuple[Served, object]:
    """A process that serves; end it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "gateway.toml"
    said = f'limits = "{limits}"' if limits else ""
    config.write_text(
        CONFIG.format(port=port, folder=folder, url=upstream.base_url, limits=said), "utf-8"
    )
    log = (folder / "log.txt").open("w")
    process = subprocess.Popen(
        [sys.executable, "-c", "from bursar.cli import main; main()", "serve", "--config", config],
        stdout=log,
        stderr=log,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    url = f"http://127.0.0.1:{port}"
    before = time.monotonic() + 60
    while True:
        assert process.poll() is None, (folder / "log.txt").read_text("utf-8")
        assert time.monotonic() < before
        try:
            if httpx.get(f"{url}/health", timeout=1).status_code == 200:
                break
        except httpx.TransportError:
            time.sleep(0.05)
    log.close()
    return Served(f"{url}/v1", upstream, str(folder / "gateway.sqlite")), process


def stop(process) -> None:
    process.terminate()
    assert process.wait(20) in (0, -15)


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
