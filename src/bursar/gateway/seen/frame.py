"""What someone looks at, and may look at: every query on the records is kept to a frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Table, and_, or_

from bursar.gateway.seen.sums import DAY_S, HOUR_S
from bursar.gateway.seen.tables import DAYS, HOURS, REQUESTS

RANGES: dict[str, tuple[Table, int, int]] = {
    "24h": (HOURS, HOUR_S, 24),
    "7d": (DAYS, DAY_S, 7),
    "30d": (DAYS, DAY_S, 30),
    "90d": (DAYS, DAY_S, 90),
}
"""Name -> sums to read, seconds of each, how many; the last is the one that is now."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What someone looks at: the accounts at and below `root` ("" is everything), and when."""

    root: str
    range: str = "24h"
    team: str = ""
    """Only this one; no other accounts come into view by it."""
    model: str = ""
    now: float = 0.0

    @property
    def table(self) -> Table:
        return RANGES[self.range][0]

    @property
    def starts(self) -> list[int]:
        """Where each bucket of the range begins, in epoch seconds."""
        _, step, count = RANGES[self.range]
        last = int(self.now) // step * step
        return [last - i * step for i in reversed(range(count))]

    @property
    def is_key(self) -> bool:
        """Whether only one key's requests are in view."""
        return self.root.count("/") >= 2

    def teams(self, known: Iterable[str]) -> list[str]:
        """Those of the `known` teams that are in view."""
        if self.is_key:
            known = ["/".join(self.root.split("/")[:2])]
        elif self.root:
            known = [t for t in known if t == self.root or t.startswith(self.root + "/")]
        return [t for t in known if not self.team or t == self.team]

    def sums(self, table: Table, teams: Sequence[str]) -> ColumnElement[bool]:
        """The rows of a table of sums that are in view; `teams` is what `teams` gave."""
        of = table.c
        level = and_(of.level == ("key" if self.is_key else "team"), of.team.in_(teams))
        return and_(level, of.key == self.root) if self.is_key else level

    def requests(self) -> list[ColumnElement[bool]]:
        """What requests of a team that is in view have to be besides."""
        of, conditions = REQUESTS.c, list[ColumnElement[bool]]()
        if self.is_key:
            below = of.account.startswith(self.root + "/", autoescape=True)
            conditions.append(or_(of.account == self.root, below))
        if self.model:
            conditions.append(of.served_by.startswith(self.model + "@", autoescape=True))
        return conditions
