"""Organisations and their teams: made, listed, titled, closed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Table, and_, insert, select, tuple_, update
from sqlalchemy.engine import Connection

from bursar.errors import BadInput
from bursar.gateway.tenants.actor import Actor, not_found
from bursar.gateway.tenants.audit import record
from bursar.gateway.tenants.budgets import Budgets
from bursar.gateway.tenants.database import Database, count_change
from bursar.gateway.tenants.schema import KEYS, ORGANISATIONS, TEAMS

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Organisation:
    """Times in epoch seconds; once it is closed none of its keys opens anything."""

    slug: str
    title: str
    created_at: float
    closed_at: float | None

    @property
    def account(self) -> str:
        """Its account in the ledger."""
        return self.slug


@dataclass(frozen=True, slots=True)
class Team:
    """As `Organisation`."""

    organisation: str
    slug: str
    title: str
    created_at: float
    closed_at: float | None

    @property
    def account(self) -> str:
        """Its account in the ledger."""
        return f"{self.organisation}/{self.slug}"


class Teams:
    """Organisations and teams in `database`. `by` is who asks; it sees and changes only its own."""

    def __init__(
        self, database: Database, budgets: Budgets, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._database, self._budgets, self._clock = database, budgets, clock

    def create_organisation(
        self, by: Actor, slug: str, *, title: str = "", limits: str = ""
    ) -> Organisation:
        """A new organisation; only an owner may. `slug` is for ever, the title is not."""
        made = Organisation(checked_slug(slug), checked_title(title), self._clock(), None)
        by.check("owner", slug)
        self._create(by, ORGANISATIONS, made, limits)
        return made

    def create_team(
        self, by: Actor, organisation: str, slug: str, *, title: str = "", limits: str = ""
    ) -> Team:
        """A new team of an organisation."""
        by.check("admin", organisation)
        made = Team(organisation, checked_slug(slug), checked_title(title), self._clock(), None)
        self._create(by, TEAMS, made, limits)
        return made

    def organisations(self, by: Actor, *, after: str = "", most: int) -> list[Organisation]:
        """Those that `by` sees, by slug, from the one after `after`. Only an admin sees any."""
        by.check("admin", by.root)
        column = ORGANISATIONS.c.slug
        query = select(ORGANISATIONS).where(by.rows(ORGANISATIONS), column > after)
        query = query.order_by(column).limit(most)
        with self._database.read() as connection:
            return [Organisation(**row) for row in connection.execute(query).mappings()]

    def teams(self, by: Actor, *, organisation: str = "", after: str = "", most: int) -> list[Team]:
        """Those that `by` sees, by account, from the one after account `after`."""
        by.check("viewer", by.root)
        columns = tuple_(TEAMS.c.organisation, TEAMS.c.slug)
        query = select(TEAMS).where(by.rows(TEAMS))
        if organisation:
            query = query.where(TEAMS.c.organisation == organisation)
        if after:
            query = query.where(columns > (after.partition("/")[0], after.partition("/")[2]))
        query = query.order_by(TEAMS.c.organisation, TEAMS.c.slug).limit(most)
        with self._database.read() as connection:
            return [Team(**row) for row in connection.execute(query).mappings()]

    def show(self, by: Actor, account: str) -> Organisation | Team:
        """The organisation or team of an account. Raises `Denied` (404)."""
        by.check("viewer", account)
        with self._database.read() as connection:
            return _found(connection, account)

    def retitle(self, by: Actor, account: str, title: str) -> Organisation | Team:
        """Give it another title; its account stays."""
        return self._change(by, account, "retitle", {"title": checked_title(title)})

    def close(self, by: Actor, account: str) -> Organisation | Team:
        """Revoke every key of it, for ever. What it spent stays in the ledger."""
        return self._change(by, account, "close", {"closed_at": self._clock()})

    def _create(self, by: Actor, table: Table, made: Organisation | Team, limits: str) -> None:
        with self._database.write() as connection:
            count_change(connection)  # changes take turns: what is checked here stays true
            if isinstance(made, Team):
                check_open(connection, made.organisation)
            if connection.execute(select(table).where(_at(made.account))).first():
                raise BadInput(f"{made.account} is there already; choose another name")
            connection.execute(insert(table).values(asdict(made)))
            self._budgets.begin(connection, made.account, limits)
            what = {"title": made.title, "limits": limits}
            kind = "create team" if isinstance(made, Team) else "create organisation"
            record(connection, by, self._clock(), kind, made.account, None, what)
        self._budgets.apply(made.account)

    def _change(
        self, by: Actor, account: str, action: str, new: dict[str, Any]
    ) -> Organisation | Team:
        by.check("admin" if "/" in account else "owner", account)
        table = TEAMS if "/" in account else ORGANISATIONS
        with self._database.write() as connection:
            count = count_change(connection)
            before = _found(connection, account)
            if before.closed_at is not None:
                raise BadInput(f"{account} is closed; make another one")
            connection.execute(update(table).where(_at(account)).values(new))
            if "closed_at" in new:
                names = zip((KEYS.c.organisation, KEYS.c.team), account.split("/"), strict=False)
                its_keys = and_(*(column == name for column, name in names))
                connection.execute(
                    update(KEYS)
                    .where(its_keys, KEYS.c.revoked_at.is_(None))
                    .values(revoked_at=new["closed_at"], changed=count)
                )
            after = _found(connection, account)
            record(connection, by, self._clock(), action, account, asdict(before), asdict(after))
        return after


def checked_slug(slug: str) -> str:
    """`slug`, if it may be part of an account; raises `BadInput`."""
    if not _SLUG.fullmatch(slug):
        raise BadInput(
            f"{slug[:80]!r} is no name: use at most 64 lower case letters, digits, '.', '_' and "
            "'-', beginning and ending with a letter or digit, such as 'research-2'"
        )
    return slug


def checked_title(title: str) -> str:
    """`title`, if it can be shown; raises `BadInput`."""
    if len(title) > 200 or not title.isprintable():
        raise BadInput(f"the title {title[:80]!r} must be at most 200 printable characters")
    return title


def check_open(connection: Connection, account: str) -> None:
    """Raises `Denied` (404) unless there is such an organisation or team, `BadInput` if closed."""
    if _found(connection, account).closed_at is not None:
        raise BadInput(f"{account} is closed; make another one")
    if "/" in account:
        check_open(connection, account.partition("/")[0])


def _found(connection: Connection, account: str) -> Organisation | Team:
    kind, table = (Team, TEAMS) if "/" in account else (Organisation, ORGANISATIONS)
    row = connection.execute(select(table).where(_at(account))).mappings().first()
    if row is None:
        raise not_found(account)
    made: Organisation | Team = kind(**row)
    return made


def _at(account: str) -> Any:
    """The condition for an organisation's or team's own row."""
    organisation, slash, team = account.partition("/")
    if not slash:
        return ORGANISATIONS.c.slug == organisation
    return and_(TEAMS.c.organisation == organisation, TEAMS.c.slug == team)
