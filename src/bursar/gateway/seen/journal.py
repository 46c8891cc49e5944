"""The journal of requests: batched in memory, written beside the ledger twice a second."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import delete, func, select

from bursar.gateway.record import Record
from bursar.gateway.seen.beat import Beat
from bursar.gateway.seen.sums import COLUMNS, DAY_S, HOUR_S, grains_in, hourly, of_days, of_teams
from bursar.gateway.seen.tables import (
    DAYS,
    HOURS,
    REQUESTS,
    add_sums,
    insert_records,
    known_teams,
    open_records,
)
from bursar.ledger import Ledger
from bursar.ledger.schema import writing
from bursar.usage import Usage, usage_of

_AT_ONCE = 100
"""Records in one transaction: SQLite has one writer, and the ledger waits for it too."""


@dataclass(frozen=True, slots=True)
class Drift:
    """An account of which the requests' sums are not what the ledger says."""

    account: str
    journal: Usage
    ledger: Usage


class Journal:
    """An `OnRecord` that keeps every record, and sums by hour and day in the same transaction.

    Holds at most `most` records in memory: while the database can't be written, further ones are
    dropped and counted. Rows older than `keep_days` are deleted, sums are kept for good. The
    ledger stays the authority for money; `drifts` says whether it agrees.
    """

    def __init__(
        self,
        place: str,
        *,
        keep_days: float = 30.0,
        every_s: float = 0.5,
        most: int = 100_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keep_s, self._most, self._clock = keep_days * DAY_S, most, clock
        self._waiting: deque[Record] = deque()
        self._writing = threading.Lock()
        self._cleaned_at = 0.0
        self.dropped = 0
        """Records lost because too many waited."""
        self.engine = open_records(place)
        self._writer = writing(self.engine)
        self._beat = Beat("bursar-journal", every_s, self.flush)

    def __call__(self, record: Record) -> None:
        if len(self._waiting) >= self._most:
            self.dropped += 1
            return
        self._waiting.append(record)
        if len(self._waiting) == 10 * _AT_ONCE:
            self._beat.nudge()

    def close(self) -> None:
        """Write what waits, then give the database back."""
        self._beat.close()
        self.engine.dispose()

    def flush(self) -> None:
        """Write what waits; what can't be written goes on waiting. From any thread."""
        with self._writing:
            while batch := [self._waiting.popleft() for _ in range(self._ready())]:
                try:
                    self._write(batch)
                except BaseException:
                    self._waiting.extendleft(reversed(batch))
                    raise
            if (now := self._clock()) - self._cleaned_at > HOUR_S:
                self._forget(before=now - self._keep_s)
                self._cleaned_at = now

    def drifts(self, ledger: Ledger) -> list[Drift]:
        """Teams and keys of which requests do not sum to the ledger's totals. Flush first."""
        here = dict(self._totals())
        there = {totals.path: totals.spent for totals in ledger.accounts()}
        paths = here.keys() | {path for path in there if path.count("/") in (1, 2)}
        zero = Usage.zero()
        found = (Drift(path, here.get(path, zero), there.get(path, zero)) for path in sorted(paths))
        return [drift for drift in found if drift.journal != drift.ledger]

    def _totals(self) -> Iterator[tuple[str, Usage]]:
        table = DAYS.c
        sums = [func.sum(table[name]) for name in COLUMNS]
        query = select(table.team, table.key, *sums).where(table.team != "")
        with self.engine.begin() as connection:
            for team, key, *row in connection.execute(query.group_by(table.team, table.key)):
                yield key or team, usage_of(grains_in(row))

    def _ready(self) -> int:
        return min(len(self._waiting), _AT_ONCE)

    def _write(self, batch: list[Record]) -> None:
        keys = hourly(batch)
        teams = of_teams(keys)
        with self._writer.begin() as connection:
            insert_records(connection, batch)
            add_sums(connection, HOURS, teams | keys)
            add_sums(connection, DAYS, of_days(teams) | of_days(keys))

    def _forget(self, before: float) -> None:
        rows = REQUESTS.c
        with self.engine.begin() as connection:
            teams = known_teams(connection)
        for team in teams:
            old = select(rows.id).where(rows.team == team, rows.hour < before - HOUR_S)
            some = delete(REQUESTS).where(rows.id.in_(old.limit(10 * _AT_ONCE)))
            deleted = 1
            while deleted:
                with self._writer.begin() as connection:
                    deleted = connection.execute(some).rowcount
