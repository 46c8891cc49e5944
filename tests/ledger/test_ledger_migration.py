"""Ledgers written by older versions open, keep their hashes, and can do what is new."""

import sqlite3
from pathlib import Path

import pytest
from ledgers import CALL, Clock, filled
from sqlalchemy import create_engine, text

from bursar.errors import BadInput
from bursar.ledger import Ledger
from bursar.usage import Usage

HEAD_OF_VERSION_1 = "280ecb716e9dc7a6629f7a7b7265c9b5ed679ed107f561041b778f7443aed6b0"


def version_1(path: Path) -> Path:
    """A file with the tables and rows that version 1 of the tables had."""
    with sqlite3.connect(path) as raw:
        raw.executescript((Path(__file__).parent / "version_1.sql").read_text())
        raw.execute("PRAGMA journal_mode=WAL")
    raw.close()
    return path


def test_a_ledger_of_version_1_goes_on(tmp_path: Path, clock: Clock) -> None:
    path = version_1(tmp_path / "old.sqlite")
    clock.now = 1101.0
    with Ledger(path, clock=clock, worker="w1") as ledger:
        assert ledger.verify().head == HEAD_OF_VERSION_1
        assert ledger.totals("team").spent.usd == 0.036
        ledger.set_limits("team/job", "1 USD, 0.02 USD per day")
        ledger.settle({4: CALL, 8: Usage(usd=0.01)})
        (hold,) = ledger.reserve("team/job", [CALL])
        ledger.settle({hold: CALL})
        (window,) = ledger.totals("team/job").windows
        assert window.spent == 0.018
        assert ledger.open_holds() == []
    with Ledger(path, clock=clock) as again:
        assert again.verify(HEAD_OF_VERSION_1).entries == 13


def test_a_migrated_database_is_one_made_anew(place: str, clock: Clock) -> None:
    if place == ":memory:":
        pytest.skip("has no past")
    head = filled(place, clock)
    engine = create_engine(
        place.replace("postgresql://", "postgresql+psycopg://")
        if "://" in place
        else f"sqlite:///{place}"
    )
    added = {"entries": "worker", "holds": "worker", "accounts": "windows"}
    with engine.begin() as connection:
        for table, column in added.items():
            connection.execute(text(f"ALTER TABLE bursar_{table} DROP COLUMN {column}"))
        connection.execute(text("UPDATE bursar_meta SET version = 1"))
    engine.dispose()
    with Ledger(place, clock=clock, create=False) as ledger:
        assert ledger.verify().head == head
        ledger.reserve("team/job", [CALL])
        ledger.verify()


def test_a_ledger_from_the_future_is_refused(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "ledger.sqlite"
    filled(str(path), clock)
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE bursar_meta SET version = 99")
    raw.close()
    with pytest.raises(BadInput, match="use the newer bursar"):
        Ledger(path)


def test_an_old_ledger_that_may_only_be_read_says_what_to_do(tmp_path: Path) -> None:
    path = version_1(tmp_path / "old.sqlite")
    with pytest.raises(BadInput, match="readonly database; make the file"):
        Ledger(f"sqlite:///file:{path}?mode=ro&uri=true", create=False)
