"""Keys: made, listed, changed, rotated, revoked. A key itself is told once, to whoever makes it."""

from __future__ import annotations

import json
import math
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, and_, insert, select, tuple_, update
from sqlalchemy.engine import Connection

from bursar.errors import BadInput
from bursar.gateway.principal import Denied
from bursar.gateway.tenants.actor import ROLES, Actor, not_found
from bursar.gateway.tenants.audit import record
from bursar.gateway.tenants.budgets import Budgets, checked_limits
from bursar.gateway.tenants.database import Database, count_change
from bursar.gateway.tenants.schema import KEYS
from bursar.gateway.tenants.secret_keys import digest, new_key, shown
from bursar.gateway.tenants.teams import check_open, checked_slug

LONGEST_GRACE_S = 30 * 86400.0
_MOST_PATTERNS = 64


@dataclass(frozen=True, slots=True)
class Rights:
    """What a key may do; see `Principal`. `expires_at` is in epoch seconds, None for never."""

    role: str = "member"
    models: tuple[str, ...] = ("*",)
    priority: int = 0
    weight: float = 1.0
    user_limits: str = ""
    degrade: Mapping[str, str] = field(default_factory=dict)
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it may be shown. `old_until`: until when the one before its rotation works too."""

    id: str
    organisation: str
    team: str
    name: str
    shown: str
    rights: Rights
    created_at: float
    created_by: str
    revoked_at: float | None
    last_used_at: float | None
    old_until: float | None

    @property
    def account(self) -> str:
        """Its account in the ledger."""
        return f"{self.organisation}/{self.team}/{self.name}"

    def state(self, now: float) -> str:
        """ "live", "expired" or "revoked"."""
        if self.revoked_at is not None:
            return "revoked"
        expires_at = self.rights.expires_at
        return "expired" if expires_at is not None and expires_at <= now else "live"


class Keys:
    """The keys in `database`. `by` is who asks; it sees and changes only its own, and no one's with
    a higher role."""

    def __init__(
        self,
        database: Database,
        budgets: Budgets,
        *,
        clock: Callable[[], float] = time.time,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._database, self._budgets = database, budgets
        self._clock, self._random_bytes = clock, random_bytes

    def create(
        self, by: Actor, team: str, name: str, rights: Rights | None = None, *, limits: str = ""
    ) -> tuple[Key, str]:
        """A new key of a team (its account), and the text to hand to its user: told only here.

        `name` is for ever, unique within the team, and the end of its account.
        """
        rights = Rights() if rights is None else rights
        organisation, slash, slug = team.partition("/")
        if not slash:
            raise BadInput(f"{team[:80]!r} is no team; write organisation/team")
        by.check("admin", team)
        self._check_rights(by, team, rights, Rights())
        secret, now = new_key(self._random_bytes), self._clock()
        row = {
            "id": f"key_{self._random_bytes(10).hex()}",
            "organisation": organisation,
            "team": slug,
            "name": checked_slug(name),
            **_secret(secret),
            **_columns(rights),
            "created_at": now,
            "created_by": by.name,
        }
        with self._database.write() as connection:
            row["changed"] = count_change(connection)
            check_open(connection, team)
            if _row(connection, by, f"{team}/{name}") is not None:
                raise BadInput(
                    f"{team}/{name} is there already, and a name is not used twice, for its "
                    "account has its own spending; rotate that key, or choose another name"
                )
            connection.execute(insert(KEYS).values(row))
            self._budgets.begin(connection, f"{team}/{name}", limits)
            what = {"key": row["id"], **asdict(rights), "limits": limits}
            record(connection, by, now, "create key", f"{team}/{name}", None, what)
        self._budgets.apply(f"{team}/{name}")
        return self.show(by, row["id"]), secret

    def show(self, by: Actor, key: str) -> Key:
        """A key by its id or its account. Raises `Denied` (404)."""
        with self._database.read() as connection:
            return _key(_seen(connection, by, key))

    def listed(self, by: Actor, *, under: str = "", after: str = "", most: int) -> list[Key]:
        """Keys at and below the account `under`, by account, from the one after `after`."""
        columns = (KEYS.c.organisation, KEYS.c.team, KEYS.c.name)
        query = select(KEYS).where(by.rows(KEYS), _named(under))
        if after:
            query = query.where(tuple_(*columns) > tuple([*after.split("/"), "", ""][:3]))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(*columns).limit(most)).mappings()
            return [_key(row) for row in rows]

    def change(self, by: Actor, key: str, **rights: Any) -> Key:
        """Change some of a key's `Rights`, by name; every process sees it in a second or two."""
        with self._database.write() as connection:
            row, count = self._writable(connection, by, key)
            before = _key(row)
            after = Rights(**{**_plain(before.rights), **rights})
            self._check_rights(by, before.account, after, before.rights)
            values = {**_columns(after), "changed": count}
            connection.execute(
                update(KEYS).where(KEYS.c.id == before.id, by.rows(KEYS)).values(values)
            )
            said = asdict(before.rights), asdict(after)
            record(connection, by, self._clock(), "change key", before.account, *said)
        return self.show(by, before.id)

    def rotate(self, by: Actor, key: str, *, grace_s: float = 0.0) -> tuple[Key, str]:
        """A new text for a key; the one from before works for `grace_s` more seconds."""
        if not 0 <= grace_s <= LONGEST_GRACE_S:
            raise BadInput(f"a grace of {grace_s:g} s: give from 0 to {LONGEST_GRACE_S:g} s")
        secret, now = new_key(self._random_bytes), self._clock()
        with self._database.write() as connection:
            row, count = self._writable(connection, by, key)
            before = _key(row)
            if before.state(now) == "expired":
                raise BadInput(f"{before.account} has expired; give it a later expiry, then rotate")
            old = (row["digest"], now + grace_s) if grace_s else (None, None)
            values = {"old_digest": old[0], "old_until": old[1], "changed": count}
            connection.execute(
                update(KEYS)
                .where(KEYS.c.id == before.id, by.rows(KEYS))
                .values(**_secret(secret), **values)
            )
            said = {"shown": before.shown}, {"shown": shown(secret), "old_until": old[1]}
            record(connection, by, now, "rotate key", before.account, *said)
        return self.show(by, before.id), secret

    def revoke(self, by: Actor, key: str) -> Key:
        """End a key for ever; every process sees it in a second or two."""
        now = self._clock()
        with self._database.write() as connection:
            row, count = self._writable(connection, by, key)
            values = {"revoked_at": now, "old_digest": None, "old_until": None, "changed": count}
            connection.execute(
                update(KEYS).where(KEYS.c.id == row["id"], by.rows(KEYS)).values(values)
            )
            account = _key(row).account
            record(connection, by, now, "revoke key", account, None, {"revoked_at": now})
        return self.show(by, row["id"])

    def _writable(self, connection: Connection, by: Actor, key: str) -> tuple[Any, int]:
        """The row of a live or expired key that `by` may change, and the change's number."""
        count = count_change(connection)
        row = _seen(connection, by, key)
        found = _key(row)
        by.check("admin", found.account)
        if not by.is_at_least(found.rights.role):
            raise Denied(
                f"{found.account} is {found.rights.role}'s: only its like may change it", status=403
            )
        if found.revoked_at is not None:
            raise BadInput(f"{found.account} is revoked, for ever; create another key")
        return row, count

    def _check_rights(self, by: Actor, account: str, rights: Rights, before: Rights) -> None:
        """Raises `BadInput` for rights that make no sense, `Denied` for those `by` can't give."""
        _check(rights)
        expires_at = rights.expires_at
        if (
            expires_at is not None
            and expires_at != before.expires_at
            and expires_at <= self._clock()
        ):
            raise BadInput("expires_at has passed already; give a later time, or revoke the key")
        if not by.is_at_least(rights.role):
            raise Denied(f"{account}: the role {rights.role!r} is not yours to give", status=403)
        raised = rights.priority > max(0, before.priority) or rights.weight > max(
            1.0, before.weight
        )
        if raised and not by.is_at_least("owner"):
            raise Denied(
                f"{account}: a priority above 0 or a weight above 1 takes capacity from other "
                "organisations; ask an owner of the gateway",
                status=403,
            )


def _check(rights: Rights) -> None:
    if rights.role not in ROLES:
        raise BadInput(f"{rights.role!r} is no role; use one of {', '.join(ROLES)}")
    names = [*rights.models, *rights.degrade, *rights.degrade.values()]
    if not rights.models or max(len(rights.models), len(rights.degrade)) > _MOST_PATTERNS:
        raise BadInput(f"give 1 to {_MOST_PATTERNS} patterns of models, such as 'tiny-*'")
    for name in names:
        if not 0 < len(name) <= 200 or not name.isprintable() or name != name.strip():
            raise BadInput(f"{name[:80]!r} names no model; use 1 to 200 printable characters")
    if not -100 <= rights.priority <= 100:
        raise BadInput(f"priority is {rights.priority}; it must be from -100 to 100")
    if not 0.01 <= rights.weight <= 100:
        raise BadInput(f"weight is {rights.weight:g}; it must be from 0.01 to 100")
    if rights.expires_at is not None and not math.isfinite(rights.expires_at):
        raise BadInput("expires_at must be a finite time, in epoch seconds")
    checked_limits(rights.user_limits)


def _columns(rights: Rights) -> dict[str, Any]:
    lists = {"models": json.dumps(rights.models), "degrade": json.dumps(dict(rights.degrade))}
    return {**_plain(rights), **lists, "user_limits": rights.user_limits.strip()}


def _plain(rights: Rights) -> dict[str, Any]:
    return {name: getattr(rights, name) for name in Rights.__dataclass_fields__}


def _secret(secret: str) -> dict[str, str]:
    return {"digest": digest(secret), "shown": shown(secret)}


def _key(row: Any) -> Key:
    names = set(Key.__dataclass_fields__) - {"rights"}
    lists = {"models": tuple(json.loads(row["models"])), "degrade": json.loads(row["degrade"])}
    rights = {name: row[name] for name in Rights.__dataclass_fields__} | lists
    return Key(rights=Rights(**rights), **{name: row[name] for name in names})


def _named(account: str) -> ColumnElement[bool]:
    """The condition for the keys at and below an organisation, a team or a key's account."""
    columns = (KEYS.c.organisation, KEYS.c.team, KEYS.c.name)
    parts = account.split("/") if account else []
    return and_(KEYS.c.id != "", *(c == part for c, part in zip(columns, parts, strict=False)))


def _row(connection: Connection, by: Actor, key: str) -> Any:
    which = _named(key) if key.count("/") == 2 else KEYS.c.id == key
    return connection.execute(select(KEYS).where(which, by.rows(KEYS))).mappings().first()


def _seen(connection: Connection, by: Actor, key: str) -> Any:
    row = _row(connection, by, key)
    if row is None:
        raise not_found(key)
    return row
