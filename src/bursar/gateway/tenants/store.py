"""All that is known of tenants in one place: what the admin API, the dashboard and the CLI use."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from bursar.gateway.tenants.actor import Actor
from bursar.gateway.tenants.audit import Change, changes
from bursar.gateway.tenants.budgets import Budgets
from bursar.gateway.tenants.database import Database
from bursar.gateway.tenants.keys import Keys
from bursar.gateway.tenants.teams import Teams
from bursar.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Tenants:
    """Everyone who may use a gateway, at the place of its ledger."""

    database: Database
    ledger: Ledger
    teams: Teams
    keys: Keys
    budgets: Budgets

    @classmethod
    def at(
        cls,
        place: str | os.PathLike[str],
        ledger: Ledger,
        *,
        clock: Callable[[], float] = time.time,
    ) -> Tenants:
        """Tenants of the gateway whose `ledger` is at `place`; their tables are made if need be."""
        database = Database(place)
        budgets = Budgets(database, ledger, clock=clock)
        return cls(
            database,
            ledger,
            Teams(database, budgets, clock=clock),
            Keys(database, budgets, clock=clock),
            budgets,
        )

    def close(self) -> None:
        """Give back connections; the ledger is its owner's to close."""
        self.database.close()

    def audit(self, by: Actor, *, before: int | None = None, most: int) -> list[Change]:
        """What was changed, newest first, from the one before number `before`."""
        return changes(self.database, by, before=before, most=most)
