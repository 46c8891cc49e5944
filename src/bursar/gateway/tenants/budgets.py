"""Limits and soft thresholds of accounts, and how full each limit is.

The ledger enforces limits. What people wrote is kept here, with a version: an edit is committed
with its audit entry first and then told to the ledger. Whoever finds an edit that nobody told (its
process died between the two) tells it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection

from bursar.errors import BadInput, BursarError
from bursar.gateway.tenants.actor import Actor, at_or_below, not_found
from bursar.gateway.tenants.audit import record
from bursar.gateway.tenants.database import Database, count_change
from bursar.gateway.tenants.schema import BUDGETS, KEYS, ORGANISATIONS, TEAMS
from bursar.ledger import Ledger, Totals
from bursar.limits import limit_grains
from bursar.usage import Usage

MOST_THRESHOLDS = 10
_AT_ONCE = 500


class Stale(BursarError):
    """Somebody else has edited what was to be edited: look again, then edit that."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One limit and how much of it is used, in the unit of `resource`.

    `window` names its period, "" for all time; `resets_at` is the epoch second at which the period
    ends, None when it does not.
    """

    resource: str
    window: str
    limit: float
    spent: float
    held: float
    resets_at: float | None

    @property
    def left(self) -> float:
        """What is neither spent nor held; negative after an overrun."""
        return self.limit - self.spent - self.held

    @property
    def share_spent(self) -> float:
        """What is spent, as a share of the limit; a limit of nothing is full."""
        return self.spent / self.limit if self.limit else 1.0


@dataclass(frozen=True, slots=True)
class AccountBudget:
    """An account's limits as people wrote them, and each limit as it stands.

    `thresholds` are shares of any limit at which webhooks are told, such as (0.5, 0.8, 0.95).
    `version` is 0 for an account that nobody has limited.
    """

    account: str
    version: int
    limits: str
    thresholds: tuple[float, ...]
    standings: tuple[Standing, ...]


class Budgets:
    """Budgets of the accounts in `ledger`, which is at the same place as `database`."""

    def __init__(
        self, database: Database, ledger: Ledger, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._database, self._ledger, self._clock = database, ledger, clock

    def read(self, by: Actor, account: str) -> AccountBudget:
        """One account's. Raises `Denied` (404) for accounts that `by` may not see."""
        if not by.sees(account):
            raise not_found(account)
        with self._database.read() as connection:
            check_account(connection, account)
            row = _row(connection, account)
        return _budget(account, row, self._ledger.totals(account))

    def listed(
        self, by: Actor, *, under: str = "", after: str = "", most: int
    ) -> list[AccountBudget]:
        """Accounts that have limits, at and below `under`, by name, from the one after `after`."""
        query = (
            select(BUDGETS)
            .where(by.rows(BUDGETS), at_or_below(BUDGETS.c.account, under))
            .where(BUDGETS.c.account > after)
            .order_by(BUDGETS.c.account)
            .limit(most)
        )
        with self._database.read() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        found: dict[str, Totals] = {}
        for start in range(0, len(rows), _AT_ONCE):
            some = [row["account"] for row in rows[start : start + _AT_ONCE]]
            found.update({totals.path: totals for totals in self._ledger.accounts(some)})
        nothing = Totals("", {}, Usage.zero(), Usage.zero())
        return [_budget(r["account"], r, found.get(r["account"], nothing)) for r in rows]

    def edit(
        self,
        by: Actor,
        account: str,
        *,
        limits: str | None = None,
        thresholds: Sequence[float] | None = None,
        version: int | None = None,
    ) -> AccountBudget:
        """Change limits (text; "" for none) or thresholds; what is None stays.

        An organisation's own are the owner's business, all below it its admin's. With a `version`,
        raises `Stale` when that is not the last one any more.
        """
        by.check("admin" if "/" in account else "owner", account)
        with self._database.write() as connection:
            count_change(connection)  # edits take turns
            check_account(connection, account)
            row = _row(connection, account)
            if version is not None and version != row["version"]:
                raise Stale(
                    f"{account}: version {version} was to be edited, but it is at version "
                    f"{row['version']} by now; read it again, then edit that"
                )
            new = {
                "limits": row["limits"] if limits is None else checked_limits(limits),
                "thresholds": row["thresholds"]
                if thresholds is None
                else json.dumps(_checked_thresholds(thresholds)),
            }
            old = {name: row[name] for name in new}
            if row["version"]:
                changed = update(BUDGETS).where(BUDGETS.c.account == account)
                connection.execute(changed.values(version=row["version"] + 1, **new))
            else:
                connection.execute(
                    insert(BUDGETS).values(account=account, version=1, applied=0, **new)
                )
            record(connection, by, self._clock(), "edit budget", account, old, new)
        self.apply(account)
        return self.read(by, account)

    def begin(self, connection: Connection, account: str, limits: str) -> None:
        """In the transaction that makes an account: its first limits, if any. Then `apply`."""
        if limits:
            row = {"version": 1, "applied": 0, "limits": checked_limits(limits)}
            connection.execute(insert(BUDGETS).values(account=account, thresholds="[]", **row))

    def apply(self, account: str) -> None:
        """Tell the ledger the limits that were written last, unless it knows."""
        while True:
            with self._database.read() as connection:
                row = _row(connection, account)
            if row["applied"] == row["version"]:
                return
            self._ledger.set_limits(account, row["limits"] or None)
            told = (
                update(BUDGETS)
                .where(BUDGETS.c.account == account, BUDGETS.c.version == row["version"])
                .values(applied=row["version"])
            )
            with self._database.write() as connection:  # another edit meanwhile: tell that one too
                connection.execute(told)

    def apply_all(self) -> None:
        """Tell the ledger every edit that nobody told it, after a crash."""
        query = select(BUDGETS.c.account).where(BUDGETS.c.applied != BUDGETS.c.version)
        with self._database.read() as connection:
            accounts = list(connection.execute(query).scalars())
        for account in accounts:
            self.apply(account)


def standings(totals: Totals) -> tuple[Standing, ...]:
    """Each limit of an account as it stands."""
    whole = (
        Standing(name, "", limit, totals.spent.get(name) or 0.0, totals.held.get(name) or 0.0, None)
        for name, limit in totals.limits.items()
    )
    periods = (
        Standing(w.resource, w.window, w.limit, w.spent, w.held, w.resets_at)
        for w in totals.windows
    )
    return (*whole, *periods)


def checked_limits(text: str) -> str:
    """Limits as people wrote them, if the ledger can read them; raises `BadInput`."""
    text = text.strip()
    if len(text) > 1000:
        raise BadInput(f"limits of {len(text)} characters are too long; write at most 1000")
    if text:
        limit_grains(text)
    return text


def _checked_thresholds(shares: Sequence[float]) -> Sequence[float]:
    good = sorted(set(shares))
    if not all(0 < share <= 1 for share in good) or len(good) > MOST_THRESHOLDS:
        raise BadInput(
            f"thresholds {list(shares)[:20]}: give at most {MOST_THRESHOLDS} shares of a limit, "
            "more than 0 and at most 1, such as 0.5, 0.8, 0.95"
        )
    return good


def check_account(connection: Connection, account: str) -> None:
    """Raises `Denied` (404) unless the organisation, team and key of `account` are there."""
    parts = account.split("/")
    organisation = select(ORGANISATIONS.c.slug).where(ORGANISATIONS.c.slug == parts[0])
    team = select(TEAMS.c.slug).where(TEAMS.c.organisation == parts[0])
    key = select(KEYS.c.id).where(KEYS.c.organisation == parts[0])
    queries = [organisation]
    if len(parts) > 1:
        queries.append(team.where(TEAMS.c.slug == parts[1]))
    if len(parts) > 2:
        queries.append(key.where(KEYS.c.team == parts[1], KEYS.c.name == parts[2]))
    if not all(connection.execute(query).first() for query in queries):
        raise not_found(account)


def _row(connection: Connection, account: str) -> dict[str, Any]:
    query = select(BUDGETS).where(BUDGETS.c.account == account)
    found = connection.execute(query).mappings().first()
    nothing = {"version": 0, "applied": 0, "limits": "", "thresholds": "[]"}
    return nothing if found is None else dict(found)


def _budget(account: str, row: dict[str, Any], totals: Totals) -> AccountBudget:
    return AccountBudget(
        account,
        row["version"],
        row["limits"],
        tuple(json.loads(row["thresholds"])),
        standings(totals),
    )
