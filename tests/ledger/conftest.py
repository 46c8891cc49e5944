"""Ledgers on every kind of database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from ledgers import Clock

from bursar.ledger import Ledger
from databases import KINDS, fresh_place


@pytest.fixture(params=["memory", *KINDS])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh ledger's address on each kind of database."""
    if request.param == "memory":
        yield ":memory:"
    else:
        with fresh_place(request.param, tmp_path) as place:
            yield place


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(place: str, clock: Clock) -> Iterator[Ledger]:
    with Ledger(place, clock=clock, ttl_s=60) as ledger:
        yield ledger
