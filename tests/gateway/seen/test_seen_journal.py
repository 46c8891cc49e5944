"""The journal of requests: exact sums from any number of workers, bounded memory, retention."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seen_records import NOON, record
from sqlalchemy import func, select

from bursar.gateway.record import Record
from bursar.gateway.seen.journal import Journal
from bursar.gateway.seen.sums import (
    BOUNDS_S,
    COLUMNS,
    Cell,
    grains_in,
    hourly,
    of_days,
    of_teams,
    quantile,
)
from bursar.gateway.seen.tables import DAYS, HOURS, REQUESTS
from bursar.ledger import Ledger
from bursar.usage import Usage, grains_of, usage_of

AMOUNTS = st.one_of(st.none(), st.integers(0, 10**6).map(float), st.floats(0, 1e3))
RECORDS = st.builds(
    record,
    began_at=st.floats(NOON, NOON + 4 * 86400),
    account=st.sampled_from(["acme/blue/ann", "acme/blue/bob", "acme/red/cy/user", "", "local"]),
    served_by=st.sampled_from(["small@local", "large@far", ""]),
    status=st.sampled_from([200, 402, 429, 502]),
    seconds=st.floats(0, 400),
    calls=st.integers(0, 9),
    saved_usd=st.one_of(st.none(), st.floats(-1, 1)),
    spent=st.builds(
        Usage,
        tokens_in=AMOUNTS,
        tokens_out=AMOUNTS,
        flops=st.one_of(st.none(), st.floats(0, 1e18)),
        usd=AMOUNTS,
        joules=AMOUNTS,
    ),
)


def rows(journal: Journal, table: Any) -> dict[Cell, tuple[int, ...]]:
    with journal.engine.begin() as connection:
        found = connection.execute(select(table)).mappings().all()
    return {
        Cell(*(row[name] for name in Cell._fields)): tuple(row[name] for name in COLUMNS)
        for row in found
    }


@settings(max_examples=15, deadline=None)
@given(st.lists(RECORDS, max_size=12), st.data())
def test_any_interleaving_of_writers_gives_the_same_sums(
    records: list[Record], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        journals = [Journal(str(Path(folder) / "l.sqlite"), every_s=600) for _ in range(3)]
        for each in data.draw(st.permutations(records)):
            journal = data.draw(st.sampled_from(journals))
            journal(each)
            if data.draw(st.booleans()):
                journal.flush()
        for journal in journals:
            journal.flush()
        keys = hourly(records)
        expected = keys | of_teams(keys)
        for table, sums in ((HOURS, expected), (DAYS, of_days(expected))):
            assert rows(journals[0], table) == {cell: tuple(row) for cell, row in sums.items()}
        for journal in journals:
            journal.close()
    spent = [grains_of(each.spent) for each in records]
    for name in {"usd", "flops", "tokens_in?", *(n for part in spent for n in part)}:
        total = sum(part.get(name, 0) for part in spent)
        assert total == sum(grains_in(row).get(name, 0) for row in keys.values())


def test_threads_lose_nothing(place: str) -> None:
    workers = [Journal(place, every_s=0.01, clock=lambda: NOON) for _ in range(3)]

    def work(journal: Journal) -> None:
        for i in range(200):
            journal(record(account=f"acme/blue/key{i % 7}", began_at=NOON + 40 * i))

    threads = [threading.Thread(target=work, args=(journal,)) for journal in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for journal in workers[1:]:
        journal.close()
    workers[0].flush()
    with workers[0].engine.begin() as connection:
        assert connection.execute(select(func.count()).select_from(REQUESTS)).scalar() == 600
        for table in (HOURS, DAYS):
            for level in (table.c.level == "team", table.c.level == "key"):
                query = select(func.sum(table.c.ended), func.sum(table.c.usd)).where(level)
                assert tuple(map(int, connection.execute(query).one())) == (600, 600 * 10**10)
    workers[0].close()


def test_what_the_ledger_charged_is_what_the_requests_sum_to(place: str) -> None:
    journal = Journal(place, every_s=600)
    with Ledger(place) as ledger:
        for i in range(5):
            spent = Usage(tokens_in=10, tokens_out=i, usd=0.1, flops=None if i else 1e15)
            (hold,) = ledger.reserve("acme/blue/ann/eve", [Usage(100, 100, 1e16, usd=1.0)])
            (charged,) = ledger.settle({hold: spent})
            journal(record(account="acme/blue/ann/eve", spent=charged))
        journal.flush()
        assert journal.drifts(ledger) == []
        journal(record(account="acme/blue/ann", spent=Usage(usd=0.5)))
        journal.flush()
        assert [drift.account for drift in journal.drifts(ledger)] == ["acme/blue", "acme/blue/ann"]
    journal.close()


def test_what_cannot_be_written_waits_then_is_dropped_and_counted(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "l.sqlite"), every_s=600, most=10, clock=lambda: NOON)
    with journal.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE bursar_hours RENAME TO away")
    for i in range(13):
        journal(record(request_id=f"req-{i}"))
    with pytest.raises(Exception, match="bursar_hours"):
        journal.flush()
    assert journal.dropped == 3
    with journal.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO bursar_hours")
    journal.flush()
    with journal.engine.begin() as connection:
        ids = connection.execute(select(REQUESTS.c.request_id).order_by(REQUESTS.c.id)).scalars()
        assert list(ids) == [f"req-{i}" for i in range(10)]
    journal.close()


def test_rows_are_forgotten_and_sums_are_not(place: str) -> None:
    now = [NOON]
    journal = Journal(place, every_s=600, keep_days=2, clock=lambda: now[0])
    for i in range(6):
        journal(record(began_at=NOON + i * 86400, account="acme/blue/ann" if i % 2 else ""))
    journal.flush()
    now[0] += 5 * 86400 + 3600
    journal.flush()
    with journal.engine.begin() as connection:
        kept = connection.execute(select(REQUESTS.c.began_at).order_by(REQUESTS.c.id)).scalars()
        assert list(kept) == [NOON + i * 86400 for i in (3, 4, 5)]
        assert connection.execute(select(func.sum(DAYS.c.ended))).scalar() == 12
    journal.close()


def test_closing_writes_what_waits(tmp_path: Path) -> None:
    place = str(tmp_path / "l.sqlite")
    journal = Journal(place, every_s=600, clock=lambda: NOON)
    journal(record(model="\0nul" + "x" * 900 + "\ud800"))
    journal.close()
    again = Journal(place, every_s=600)
    with again.engine.begin() as connection:
        (model,) = connection.execute(select(REQUESTS.c.model)).scalars()
    assert model == "nul" + "x" * 196
    again.close()


@given(st.lists(st.floats(0.011, 99.0), min_size=1), st.floats(0.01, 1.0))
def test_quantiles_are_within_a_bucket(seconds: list[float], share: float) -> None:
    (row,) = hourly(record(seconds=s) for s in seconds).values()
    first = COLUMNS.index("bucket_0")
    guess = quantile(row[first : first + len(BOUNDS_S) + 1], share)
    exact = sorted(seconds)[max(0, -int(-share * len(seconds) // 1) - 1)]
    assert guess is not None
    assert exact / 1.7783 <= guess * 1.001
    assert guess <= exact * 1.7783 * 1.001


def test_no_requests_have_no_quantile() -> None:
    assert quantile([0] * 18, 0.5) is None
    assert quantile([0] * 17 + [4], 0.5) == 100.0


def test_what_a_client_wrote_names_no_sum() -> None:
    (cell,) = hourly([record(model="<b>" * 50, served_by="", strategy="evil", status=404)])
    assert (cell.model, cell.strategy, cell.outcome) == ("", "", "4xx")


def test_sums_are_what_was_spent() -> None:
    spent = Usage(tokens_in=1, tokens_out=2, flops=3e15 + 7, usd=0.1)
    (row,) = hourly([record(spent=spent)]).values()
    assert usage_of(grains_in(row)) == spent
