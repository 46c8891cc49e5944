"""Fresh databases: SQLite always, PostgreSQL where BURSAR_TEST_POSTGRES names a server."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@contextmanager
def fresh_place(kind: str, folder: Path) -> Iterator[str]:
    """The address of a database with nothing in it, for as long as it is needed."""
    if kind == "sqlite":
        yield str(folder / "ledger.sqlite")
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
