"""Migrations: made once whoever starts, the same as the tables in code, never backwards."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, select, text

from bursar.errors import BadInput
from bursar.gateway.seen import tables
from bursar.gateway.tenants.database import Database
from bursar.gateway.tenants.schema import (
    CHANGES,
    METADATA,
    MIGRATIONS,
    REVISION,
    REVISION_TABLE,
    migrate,
    revision,
)
from bursar.ledger import Ledger
from bursar.ledger.schema import open_engine, writing


def changes(place: str) -> list[tuple[int, int]]:
    database = Database(place)
    with database.read() as connection:
        found = [(row[0], row[1]) for row in connection.execute(select(CHANGES))]
    database.close()
    return found


@pytest.mark.parametrize("expected", [METADATA, tables.METADATA], ids=["tenants", "records"])
def test_the_migrated_database_is_what_the_code_expects(
    tenants_place: str, expected: MetaData
) -> None:
    migrate(tenants_place)
    engine = open_engine(tenants_place, 5.0, create=False)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_name": lambda name, kind, _: kind != "table" or name in expected.tables,
                "version_table": REVISION_TABLE,
            },
        )
        assert compare_metadata(context, expected) == []
        assert revision(connection) == REVISION
    engine.dispose()


def test_the_code_knows_the_last_step() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


def test_migrating_again_changes_nothing(tenants_place: str) -> None:
    with Ledger(tenants_place) as ledger:
        ledger.set_limits("acme", "1 USD")
        for _ in range(2):
            migrate(tenants_place)
        assert ledger.totals("acme").limits == {"usd": 1.0}
        ledger.verify()
    assert changes(tenants_place) == [(1, 0)]


def test_workers_that_start_at_once_agree(tenants_place: str) -> None:
    together = Barrier(4)

    def start(_: int) -> None:
        together.wait()
        migrate(tenants_place)

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(start, range(4)))
    assert changes(tenants_place) == [(1, 0)]


def test_a_newer_database_is_refused_and_left_alone(tenants_place: str) -> None:
    migrate(tenants_place)
    engine = open_engine(tenants_place, 5.0, create=False)
    with writing(engine).begin() as connection:
        connection.execute(text(f"UPDATE {REVISION_TABLE} SET version_num = '9999'"))
    with pytest.raises(BadInput, match="migrated to 9999 by a newer bursar, this one knows"):
        migrate(tenants_place)
    with engine.connect() as connection:
        assert revision(connection) == "9999"
    engine.dispose()
