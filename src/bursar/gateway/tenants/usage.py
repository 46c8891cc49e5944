"""What accounts have spent and hold, for whoever may see them."""

from __future__ import annotations

from sqlalchemy import func, select

from bursar.gateway.tenants.actor import Actor, at_or_below
from bursar.gateway.tenants.database import Database
from bursar.ledger import Ledger, Totals
from bursar.ledger.schema import ACCOUNTS


def usage_below(
    database: Database,
    ledger: Ledger,
    by: Actor,
    *,
    under: str = "",
    depth: int,
    after: str = "",
    most: int,
) -> list[Totals]:
    """Accounts at and below `under` with `depth` names (1 organisations, 2 teams, 3 keys, 4 users),
    by path, from the one after `after`; at most 1000."""
    path = ACCOUNTS.c.path
    names = func.length(path) - func.length(func.replace(path, "/", "")) + 1
    query = (
        select(path)
        .where(at_or_below(path, by.root), at_or_below(path, under))
        .where(names == depth, path > after)
        .order_by(path)
        .limit(most)
    )
    with database.read() as connection:
        paths = list(connection.execute(query).scalars())
    return ledger.accounts(paths)
