"""Databases for the records of requests: SQLite always, PostgreSQL where a server is named."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a fresh database."""
    if request.param == "sqlite":
        yield str(tmp_path / "ledger.sqlite")
        return
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
