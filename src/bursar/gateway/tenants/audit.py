"""The audit log: who changed what, from what, to what. No secret is in it; nothing is removed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.engine import Connection

from bursar.gateway.tenants.actor import Actor
from bursar.gateway.tenants.database import Database
from bursar.gateway.tenants.schema import AUDIT


@dataclass(frozen=True, slots=True)
class Change:
    """One entry. `time` is epoch seconds; `before` and `after` have only the fields that differ."""

    seq: int
    time: float
    organisation: str
    actor: str
    action: str
    subject: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


def record(
    connection: Connection,
    by: Actor,
    now: float,
    action: str,
    subject: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write an entry in the transaction that makes the change. `subject` is an account."""
    old, new = dict(before or {}), dict(after or {})
    same = {name for name in old.keys() & new.keys() if old[name] == new[name]}
    connection.execute(
        insert(AUDIT).values(
            time=now,
            organisation=subject.partition("/")[0],
            actor=by.name,
            action=action,
            subject=subject,
            before=json.dumps({k: v for k, v in old.items() if k not in same}),
            after=json.dumps({k: v for k, v in new.items() if k not in same}),
        )
    )


def changes(database: Database, by: Actor, *, before: int | None = None, most: int) -> list[Change]:
    """Entries that `by` may see (an admin those of its organisation), newest first."""
    by.check("admin", by.root)
    query = select(AUDIT).where(by.rows(AUDIT)).order_by(AUDIT.c.seq.desc()).limit(most)
    if before is not None:
        query = query.where(AUDIT.c.seq < before)
    with database.read() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
    texts = ("before", "after")
    return [Change(**{**row, **{name: json.loads(row[name]) for name in texts}}) for row in rows]
