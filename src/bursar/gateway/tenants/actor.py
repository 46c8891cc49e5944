"""Who changes or looks at tenants, and what of them they may see: every query asks here."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Table, and_, func, or_, true

from bursar.gateway.principal import Denied, Principal

ROLES = ("member", "viewer", "admin", "owner")
"""From the least to the most: each may do what those before it may."""
_DEPTH = {"member": 3, "viewer": 2, "admin": 1, "owner": 0}


@dataclass(frozen=True, slots=True)
class Actor:
    """Someone with a role, who sees `root` and the accounts below it; everything where it is "".

    `name` is what the audit log says: a key's id, or "command line".
    """

    name: str
    role: str
    root: str

    @classmethod
    def of(cls, principal: Principal) -> Actor:
        """The actor behind a key: a member sees its key, a viewer its team, an admin its whole
        organisation, an owner the gateway."""
        parts = principal.account.split("/")[: _DEPTH[principal.role]]
        return cls(principal.key_id, principal.role, "/".join(parts))

    def sees(self, account: str) -> bool:
        """Whether `account` is its own or below it."""
        return not self.root or account == self.root or account.startswith(self.root + "/")

    def is_at_least(self, role: str) -> bool:
        """Whether it may do what `role` may."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def check(self, role: str, account: str) -> None:
        """Raises `Denied` unless it may act as `role` on `account`.

        What it can't see is answered as if it were not there.
        """
        if not self.sees(account):
            raise not_found(account)
        if not self.is_at_least(role):
            raise Denied(
                f"{account}: this takes the role {role!r}, the key's is {self.role!r}; "
                "ask an admin of the organisation",
                status=403,
            )

    def rows(self, table: Table) -> ColumnElement[bool]:
        """The condition that keeps a query on `table` to what it may see.

        Tables are scoped by their `account`, or by `organisation`, `team` and `name` (or `slug`).
        """
        if not self.root:
            return true()
        column = table.c
        if "account" in column:
            return at_or_below(column.account, self.root)
        names = [n for n in ("organisation", "team", "name", "slug") if n in column]
        assert names, f"{table.name} has no column by which to keep tenants apart"
        parts = self.root.split("/")
        return and_(*(column[name] == part for name, part in zip(names, parts, strict=False)))


COMMAND_LINE = Actor("command line", "owner", "")
"""Whoever can write the database itself: there is nothing to keep from them."""


def at_or_below(account: ColumnElement[str], root: str) -> ColumnElement[bool]:
    """The condition that `account` is `root` or below it; always true for the root ""."""
    if not root:
        return true()
    beginning = func.substr(account, 1, len(root) + 1)  # LIKE would take "A" for "a" in SQLite
    return or_(account == root, beginning == root + "/")


def not_found(what: str) -> Denied:
    """The same answer for what is not there and for what the one who asks may not see."""
    return Denied(f"there is no {what[:200]!r} that this key may see", status=404)
