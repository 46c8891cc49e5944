"""What the tests of tenants share: tenants with a clock that is told the time, and actors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bursar.gateway.tenants.actor import COMMAND_LINE, Actor
from bursar.gateway.tenants.database import Database
from bursar.gateway.tenants.directory import principal_of
from bursar.gateway.tenants.keys import Key, Rights
from bursar.gateway.tenants.schema import KEYS
from bursar.gateway.tenants.store import Tenants
from bursar.ledger import Ledger

OWNER = COMMAND_LINE


class TenantsClock:
    """A clock that is told the time, in epoch seconds."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class House:
    """Tenants with a ledger and a clock."""

    tenants: Tenants
    ledger: Ledger
    clock: TenantsClock
    place: str
    others: list[Database] = field(default_factory=list)

    def database(self) -> Database:
        """Another process's connections."""
        self.others.append(Database(self.place))
        return self.others[-1]

    def key(self, team: str, name: str, **rights: object) -> tuple[Key, str]:
        return self.tenants.keys.create(OWNER, team, name, Rights(**rights))  # type: ignore[arg-type]

    def actor(self, team: str, name: str, role: str) -> Actor:
        """The actor behind a new key."""
        key, _ = self.key(team, name, role=role)
        with self.tenants.database.read() as connection:
            query = KEYS.select().where(KEYS.c.id == key.id)
            return Actor.of(principal_of(dict(connection.execute(query).mappings().one())))


@contextmanager
def house_at(place: str, *teams: str) -> Iterator[House]:
    """A house with `teams` ("organisation/team"), made by its owner."""
    clock = TenantsClock()
    with Ledger(place, clock=clock) as ledger:
        tenants = Tenants.at(place, ledger, clock=clock)
        for organisation in dict.fromkeys(team.partition("/")[0] for team in teams):
            tenants.teams.create_organisation(OWNER, organisation)
        for team in teams:
            tenants.teams.create_team(OWNER, *team.split("/"))
        house = House(tenants, ledger, clock, place)
        yield house
        for database in (tenants, *house.others):
            database.close()
