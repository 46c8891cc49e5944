"""Trouble with the storage: a clear error, and no spend lost."""

import sqlite3
from pathlib import Path

import pytest
from ledgers import CALL, Clock, filled

from bursar.budget import Hold
from bursar.errors import BadInput
from bursar.ledger import Ledger
from bursar.usage import Usage


def test_a_full_disk_loses_no_spend(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        job = ledger.budget("job", "100 USD")
        hold = job.reserve(Usage(usd=1.0))
        with ledger._engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        kept: list[Hold] = []

        def fill() -> None:
            kept.extend(job.reserve(Usage(usd=0.01), "x" * 1000) for _ in range(100))

        with pytest.raises(BadInput, match=r"full; free some space.*Nothing was recorded"):
            fill()
        assert job.held.usd == pytest.approx(1 + 0.01 * len(kept))
        with pytest.raises(BadInput, match="full"):
            job.settle_many([hold, *kept], [Usage(usd=0.5)] + [Usage(usd=0.01)] * len(kept))
        assert hold.state == "open"
        with ledger._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 100000")
        hold.settle(Usage(usd=0.5))
        assert job.spent.usd == 0.5
        ledger.verify()


def test_a_locked_ledger_says_so_and_keeps_the_hold(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path, timeout_s=0.1) as ledger, sqlite3.connect(path) as raw:
        hold = ledger.budget("job", "1 USD").reserve(CALL)
        raw.execute("BEGIN IMMEDIATE")
        with pytest.raises(BadInput, match="another process"):
            hold.settle(CALL)
        raw.rollback()
        hold.settle(CALL)
        assert ledger.totals("job").spent.usd == 0.018
    raw.close()


def test_places_that_are_no_ledger(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database " * 100)
    with pytest.raises(BadInput, match="not a database; name another file"):
        Ledger(tmp_path / "notes.txt")
    with pytest.raises(BadInput, match="folder exists"):
        Ledger(tmp_path / "nowhere" / "ledger.sqlite")
    with pytest.raises(BadInput, match="mysql"):
        Ledger("mysql://root@localhost/x")
    with pytest.raises(BadInput, match="address"):
        Ledger("post gres://x")


def test_to_read_a_ledger_makes_none(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no ledger at"):
        Ledger(tmp_path / "typo.sqlite", create=False)
    assert list(tmp_path.iterdir()) == []
    sqlite3.connect(tmp_path / "other.sqlite").close()
    (tmp_path / "other.sqlite").touch()
    with pytest.raises(BadInput, match="is no ledger"):
        Ledger(tmp_path / "other.sqlite", create=False)


def test_a_ledger_that_may_only_be_read_is_read(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "ledger.sqlite"
    head = filled(str(path), clock)
    with Ledger(f"sqlite:///file:{path}?mode=ro&uri=true", create=False) as ledger:
        assert ledger.verify().head == head
        with pytest.raises(BadInput, match="readonly database; make the file"):
            ledger.reserve("team/job", [CALL])


def test_a_ledger_cut_short_says_so(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "ledger.sqlite"
    filled(str(path), clock)
    path.write_bytes(path.read_bytes()[: 3 * 4096])
    with pytest.raises(BadInput, match="malformed; restore it from a copy"), Ledger(path) as ledger:
        ledger.verify()


def test_a_server_that_is_down_is_named_without_its_password() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(BadInput, match="server is up") as error:
        Ledger("postgresql://me:hunter2@127.0.0.1:9/x")
    assert "hunter2" not in str(error.value)


def test_a_closed_ledger_says_so(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.close()
    with pytest.raises(BadInput, match="closed"):
        ledger.reserve("job", [CALL])
