"""Ledgers on every kind of database."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledgers import Clock
from sqlalchemy import create_engine, text

from bursar.ledger import Ledger


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh ledger's address on each kind of database."""
    if request.param == "memory":
        yield ":memory:"
    elif request.param == "sqlite":
        yield str(tmp_path / "ledger.sqlite")
    else:
        yield from postgres_schema()


def postgres_schema() -> Iterator[str]:
    server = os.environ.get("BURSAR_TEST_POSTGRES")
    if not server:
        pytest.skip("BURSAR_TEST_POSTGRES names no server")
    engine = create_engine(server.replace("postgresql://", "postgresql+psycopg://"))
    schema = f"bursar_test_{uuid.uuid4().hex}"
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    yield f"{server}?options=-csearch_path%3D{schema}"
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(place: str, clock: Clock) -> Iterator[Ledger]:
    with Ledger(place, clock=clock, ttl_s=60) as ledger:
        yield ledger
