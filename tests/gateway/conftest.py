"""Ledgers that have tenants, on a file and on PostgreSQL."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tenants_at import House, house_at

from bursar.gateway.tenants.schema import migrate
from databases import KINDS, fresh_place


@pytest.fixture(params=KINDS)
def tenants_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database with nothing in it."""
    with fresh_place(request.param, tmp_path) as place:
        yield place


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
