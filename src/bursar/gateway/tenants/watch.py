"""`Watch`: how full every limit is, in memory; crossings of soft thresholds become deliveries.

Every worker watches. A crossing is written once, whoever sees it first: its row is unique for
account, limit, window and threshold. A limit of a calendar period is crossed at most once in each
period, a rolling one at most once in each stretch of its length, one for all time once until it is
changed. What is spent in a period is seen only while the period lasts: thresholds on limits per
second or minute can be missed near its end.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from bursar.gateway.tenants.budgets import Budgets, Standing, standings
from bursar.gateway.tenants.database import Database
from bursar.gateway.tenants.schema import BUDGETS, CHANGES, DELIVERIES, WEBHOOKS
from bursar.ledger import Ledger

_AT_ONCE = 500
_MOST_REMEMBERED = 100_000


class Watch:
    """Call `look` every second or two, in a thread; read `standings` from wherever."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        budgets: Budgets,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._ledger, self._budgets = database, ledger, budgets
        self._clock = clock
        self._count = -1
        self._thresholds: dict[str, tuple[float, ...]] = {}
        self._hooks: list[tuple[str, str]] = []
        self._standings: Mapping[str, tuple[Standing, ...]] = {}
        self._written: set[str] = set()

    def standings(self, account: str) -> tuple[Standing, ...]:
        """Every limit that a charge to `account` counts in, as of the last look."""
        known = self._standings
        found = known.get(account, ())
        while "/" in account:
            account = account.rpartition("/")[0]
            found += known.get(account, ())
        return found

    def look(self) -> int:
        """Read how full limits are and write down crossings; how many were new.

        Also tells the ledger edits that a dead process did not. Raises `BadInput`.
        """
        self._read_changes()
        accounts = list(self._thresholds)
        seen: dict[str, tuple[Standing, ...]] = {}
        for start in range(0, len(accounts), _AT_ONCE):
            for totals in self._ledger.accounts(accounts[start : start + _AT_ONCE]):
                seen[totals.path] = standings(totals)
        self._standings = seen
        new = [row for row in self._crossings(seen) if row["event"] not in self._written]
        if new:
            with self._database.write() as connection:
                written = _write(connection, new)
            if len(self._written) > _MOST_REMEMBERED:
                self._written.clear()
            self._written.update(row["event"] for row in new)
            return written
        return 0

    def _read_changes(self) -> None:
        with self._database.read() as connection:
            count: int = connection.execute(select(CHANGES.c.count)).scalar_one()
            if count == self._count:
                return
            budgets = connection.execute(select(BUDGETS.c.account, BUDGETS.c.thresholds)).all()
            hooks = select(WEBHOOKS.c.id, WEBHOOKS.c.account).where(WEBHOOKS.c.removed_at.is_(None))
            self._hooks = [(row[0], row[1]) for row in connection.execute(hooks)]
        self._thresholds = {row[0]: tuple(json.loads(row[1])) for row in budgets}
        self._budgets.apply_all()
        self._count, self._written = count, set()

    def _crossings(self, seen: Mapping[str, Iterable[Standing]]) -> Iterator[dict[str, Any]]:
        now = self._clock()
        for account, limits in seen.items():
            hooks = [h for h, at in self._hooks if account == at or account.startswith(at + "/")]
            for standing in limits if hooks else ():
                for threshold in self._thresholds[account]:
                    if standing.share_spent < threshold:
                        continue
                    event = event_of(account, standing, threshold, now)
                    body = json.dumps(_document(event, account, standing, threshold, now))
                    for hook in hooks:
                        yield {
                            "webhook": hook,
                            "event": event,
                            "body": body,
                            "attempts": 0,
                            "due_at": now,
                            "delivered": False,
                            "said": "",
                        }


def event_of(account: str, standing: Standing, threshold: float, now: float) -> str:
    """The one name of a crossing, whoever sees it."""
    window = _window_now(standing, now)
    parts = (account, standing.resource, standing.window, standing.limit, window, threshold)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _window_now(standing: Standing, now: float) -> float:
    """What tells this window from the next: its end, or how many lengths of it have passed."""
    if not standing.window:
        return 0.0
    if not standing.window.startswith("rolling "):
        return standing.resets_at or 0.0
    _, number, unit = standing.window.split()
    return now // (int(number) * {"s": 1, "min": 60, "h": 3600}[unit])


def _document(
    event: str, account: str, standing: Standing, threshold: float, now: float
) -> dict[str, Any]:
    return {
        "type": "budget.threshold",
        "event": event,
        "time": now,
        "account": account,
        "threshold": threshold,
        "resource": standing.resource,
        "window": standing.window or None,
        "limit": standing.limit,
        "spent": standing.spent,
        "held": standing.held,
        "resets_at": standing.resets_at,
    }


def _write(connection: Connection, rows: list[dict[str, Any]]) -> int:
    """How many of `rows` nobody had written."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    once = insert(DELIVERIES).on_conflict_do_nothing(index_elements=["webhook", "event"])
    written = (connection.execute(once.returning(DELIVERIES.c.id), row) for row in rows)
    return sum(len(result.all()) for result in written)
