"""Any edited, removed or replaced row of a ledger is found."""

import sqlite3
from pathlib import Path

import pytest
from ledgers import CALL, Clock, filled

from bursar.errors import LedgerCorrupt
from bursar.ledger import Ledger
from bursar.ledger.chain import seal
from bursar.usage import Usage


def other(value: object) -> object:
    if value is None:
        return 1
    if isinstance(value, int | float):
        return value + 1000
    return str(value)[:-1] + ("1" if str(value)[-1:] != "1" else "2")


def test_any_edited_field_of_any_row_is_found(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "ledger.sqlite"
    head = filled(str(path), clock)
    keys = {"entries": "seq", "holds": "id", "accounts": "path", "meta": "id"}
    edits = 0
    with Ledger(path) as ledger, sqlite3.connect(path) as raw:
        raw.row_factory = sqlite3.Row
        for table, key in keys.items():
            for row in raw.execute(f"SELECT * FROM bursar_{table}").fetchall():
                for column in row.keys():  # noqa: SIM118
                    where = f"UPDATE bursar_{table} SET {column} = ? WHERE {key} = ?"
                    changed = other(row[column])
                    raw.execute(where, (changed, row[key]))
                    raw.commit()
                    found = ledger.problems()
                    moved = changed if column == key else row[key]
                    raw.execute(where, (row[column], moved))
                    raw.commit()
                    name = {"entries": "entry", "holds": "hold", "accounts": "account"}.get(table)
                    said = f"{name} {row[key]}" if name else "head row"
                    assert any(said in problem for problem in found), (
                        table,
                        column,
                        row[key],
                        found,
                    )
                    edits += 1
        assert edits > 150
        assert ledger.verify(head).head == head
    raw.close()


def test_any_removed_row_is_found(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "ledger.sqlite"
    filled(str(path), clock)
    with Ledger(path) as ledger, sqlite3.connect(path) as raw:
        for table, key in (
            ("entries", "seq"),
            ("holds", "id"),
            ("accounts", "path"),
            ("meta", "id"),
        ):
            for row in raw.execute(f"SELECT * FROM bursar_{table}").fetchall():
                raw.execute(f"DELETE FROM bursar_{table} WHERE {key} = ?", (row[0],))
                raw.commit()
                with pytest.raises(LedgerCorrupt, match=r"missing|removed|head row") as error:
                    ledger.verify()
                assert table == "meta" or str(row[0]) in str(error.value)
                marks = ", ".join("?" * len(row))
                raw.execute(f"INSERT INTO bursar_{table} VALUES ({marks})", row)
                raw.commit()
        ledger.verify()
    raw.close()


def test_an_edit_sealed_with_a_new_hash_is_found_at_what_follows(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "ledger.sqlite"
    filled(str(path), clock)
    with Ledger(path) as ledger, sqlite3.connect(path) as raw:
        raw.row_factory = sqlite3.Row
        rows = [dict(row) for row in raw.execute("SELECT * FROM bursar_entries ORDER BY seq")]
        for row, following in zip(rows, [*rows[1:], None], strict=True):
            forged = seal({**row, "what": "forged"})
            change = "UPDATE bursar_entries SET what = ?, hash = ? WHERE seq = ?"
            raw.execute(change, ("forged", forged, row["seq"]))
            raw.commit()
            said = f"entry {following['seq']} does not follow" if following else "head row"
            with pytest.raises(LedgerCorrupt, match=said):
                ledger.verify()
            raw.execute(change, (row["what"], row["hash"], row["seq"]))
            raw.commit()
        ledger.verify()
    raw.close()


def test_a_limit_passed_on_paper_is_found_even_when_every_hash_is_right(
    tmp_path: Path, clock: Clock
) -> None:
    """Whoever rewrites the whole chain must still keep every hold within its limits."""
    path = tmp_path / "ledger.sqlite"
    with Ledger(path, clock=clock) as ledger:
        ledger.set_limits("job", "1 USD")
        ledger.reserve("job", [Usage(usd=0.9)])
    with sqlite3.connect(path) as raw:
        raw.row_factory = sqlite3.Row
        head = "0" * 64
        for row in [dict(r) for r in raw.execute("SELECT * FROM bursar_entries ORDER BY seq")]:
            row["prev_hash"] = head
            if row["kind"] == "limit":
                row["bound"] = '{"usd":500000000000}'
            head = seal(row)
            raw.execute(
                "UPDATE bursar_entries SET bound = ?, prev_hash = ?, hash = ? WHERE seq = ?",
                (row["bound"], row["prev_hash"], head, row["seq"]),
            )
        raw.execute("UPDATE bursar_meta SET head = ?", (head,))
        raw.execute("UPDATE bursar_accounts SET limits = ?", ('{"usd":500000000000}',))
        raw.commit()
    raw.close()
    with Ledger(path) as ledger, pytest.raises(LedgerCorrupt, match="holds more than job had left"):
        ledger.verify()


def test_a_tail_cut_off_with_all_that_is_derived_is_found_by_a_head_kept_elsewhere(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path, clock=clock) as ledger:
        ledger.set_limits("job", "1 USD")
        (hold,) = ledger.reserve("job", [CALL])
        copy = tmp_path / "before.sqlite"
        with sqlite3.connect(path) as raw, sqlite3.connect(copy) as target:
            raw.backup(target)
        ledger.settle({hold: CALL})
        head = ledger.head
    with Ledger(copy) as before:
        before.verify()
        with pytest.raises(LedgerCorrupt, match=head):
            before.verify(head)
    raw.close()
    target.close()


def test_a_tampered_amount_stops_spending_without_a_traceback(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "ledger.sqlite"
    filled(str(path), clock)
    with Ledger(path) as ledger, sqlite3.connect(path) as raw:
        raw.execute("UPDATE bursar_accounts SET spent = '{' WHERE path = 'team'")
        raw.commit()
        with pytest.raises(LedgerCorrupt, match="verify"):
            ledger.reserve("team/job", [CALL])
    raw.close()
