"""The limits that a key gives each of its end users, told to the ledger when a user is first seen.

An end user has no row of its own: an account below the key's, and the key's `user_limits` unless an
admin has written that account a budget. When the key's change, the next request tells the ledger.
"""

from __future__ import annotations

from sqlalchemy import select

from bursar.gateway.principal import Principal
from bursar.gateway.tenants.database import Database
from bursar.gateway.tenants.schema import BUDGETS
from bursar.ledger import Ledger, Totals
from bursar.limits import key_parts, limit_grains
from bursar.units import from_grains

_MOST_REMEMBERED = 100_000


class EndUsers:
    """End users of keys, in this process. Ask `ready` for each request with a user, from memory;
    where it is not, `tell` in a thread before anything is reserved."""

    def __init__(self, database: Database, ledger: Ledger) -> None:
        self._database, self._ledger = database, ledger
        self._told: set[tuple[str, str]] = set()

    def ready(self, principal: Principal, account: str) -> bool:
        """Whether the ledger knows the limits of the user whose account this is."""
        return account == principal.account or (account, principal.user_limits) in self._told

    def tell(self, principal: Principal, account: str) -> None:
        """See that the ledger knows them; waits for the database. Raises `BadInput`."""
        written = select(BUDGETS.c.version).where(BUDGETS.c.account == account)
        with self._database.read() as connection:
            own = connection.execute(written).first() is not None
        wanted = {
            key: from_grains(key_parts(key)[0], grains)
            for key, grains in limit_grains(principal.user_limits or None).items()
        }
        if not own and _limits(self._ledger.totals(account)) != wanted:
            self._ledger.set_limits(account, wanted)
        if len(self._told) >= _MOST_REMEMBERED:
            self._told.clear()
        self._told.add((account, principal.user_limits))


def _limits(totals: Totals) -> dict[str, float]:
    return totals.limits | {f"{w.resource} per {w.window}": w.limit for w in totals.windows}
