"""Ledgers that have tenants, on a file and on PostgreSQL."""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from tenants_at import House, house_at

from bursar.gateway.tenants.schema import migrate


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def tenants_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database with nothing in it."""
    if request.param == "sqlite":
        yield str(tmp_path / "gateway.sqlite")
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


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with tables and nothing in them: copies are quicker than migrations."""
    place = tmp_path_factory.mktemp("migrated") / "gateway.sqlite"
    migrate(place)
    return place


@pytest.fixture
def house(tenants_place: str, migrated: Path) -> Iterator[House]:
    """Two organisations: acme with the teams research and sales, and rival with ops."""
    if "://" not in tenants_place:
        shutil.copy(migrated, tenants_place)
    with house_at(tenants_place, "acme/research", "acme/sales", "rival/ops") as house:
        yield house
