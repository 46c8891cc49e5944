"""Live migration: running jobs go to another replica, their cache is sent while they decode.

What is cached is copied in stages: first all of it, then what was added during the stage before,
as long as that is more than a step or two adds. Then the job stops at the end of a step, the last
tokens follow, and it decodes on at the other end. Room there is set aside before each stage; where
there is none, or when the job is done or preempted meanwhile, the migration is given up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count

from bursar.errors import BadInput
from bursar.policies.batching import blocks_for
from bursar.policies.migration import MigrationPolicy, Move
from bursar.simulate.disaggregated import Link
from bursar.simulate.fleet_replica import FleetReplica
from bursar.simulate.replicas import Replicas


@dataclass(frozen=True, slots=True)
class Migration:
    """Ask a policy every `interval_seconds`, and move what it says, one job from or to a replica.

    A job stops for `stop_seconds` beside what its last tokens take on the link. Raises `BadInput`
    for an interval that is not above zero and a negative stop.
    """

    policy: MigrationPolicy
    link: Link
    interval_seconds: float = 0.5
    stop_seconds: float = 0.01
    last_tokens: int = 4
    """A stage of no more tokens than these is the last."""

    def __post_init__(self) -> None:
        if not self.interval_seconds > 0:
            raise BadInput(f"interval_seconds = {self.interval_seconds}; must be above 0")
        if not self.stop_seconds >= 0:
            raise BadInput(f"stop_seconds = {self.stop_seconds}; must be 0 or more")

    def begin(self, fleet: Replicas) -> Migrating:
        """See `Control.begin`."""
        return Migrating(self, fleet)


class Migrating:
    """Migrations at work; a `MigrationState`."""

    def __init__(self, settings: Migration, fleet: Replicas) -> None:
        self._settings, self._fleet = settings, fleet
        self._tick = settings.interval_seconds
        self._busy: set[int] = set()
        self._under_way: list[tuple[float, int, Iterator[float]]] = []
        """(when it goes on, number, what then happens)."""
        self._numbers = count()

    @property
    def due(self) -> float:
        """See `Acting`."""
        return min(self._tick, self._under_way[0][0]) if self._under_way else self._tick

    @property
    def working(self) -> bool:
        """See `Acting`."""
        return bool(self._under_way)

    @property
    def _places(self) -> list[int]:
        return self._fleet.open + self._fleet.draining

    @property
    def replicas(self) -> list[FleetReplica]:
        """See `MigrationState`."""
        return [self._fleet.present(place) for place in self._places]

    @property
    def draining(self) -> list[bool]:
        """See `MigrationState`."""
        return [place in self._fleet.draining for place in self._places]

    @property
    def moving(self) -> list[bool]:
        """See `MigrationState`."""
        return [place in self._busy for place in self._places]

    def act(self) -> None:
        """See `Acting`."""
        now = self._fleet.now
        while self._under_way and self._under_way[0][0] <= now:
            self._go_on(heappop(self._under_way)[2])
        if now < self._tick:
            return
        self._tick = now + self._settings.interval_seconds
        places = self._places
        for job, source, target in self._settings.policy.decide(self, now, self._fleet.price):
            move = Move(job, places[source], places[target])
            self._busy |= {move.source, move.target}
            self._go_on(self._migrate(move))

    def _go_on(self, migration: Iterator[float]) -> None:
        at = next(migration, None)
        if at is not None:
            heappush(self._under_way, (at, next(self._numbers), migration))

    def _migrate(self, move: Move) -> Iterator[float]:
        """One migration; yields the times (seconds) at which it goes on."""
        job, fleet = move.job, self._fleet
        kept = _Room(fleet, move.target)
        stay = job.preemptions
        sent, tokens = 0, fleet.present(move.source).context(job)
        while tokens - sent > self._settings.last_tokens and kept.grow(tokens):
            yield fleet.now + self._seconds(sent, tokens)
            source = fleet.present(move.source)
            if not source.decodes(job) or job.preemptions > stay:
                break
            sent, tokens = tokens, source.context(job)
        else:
            # one token more is cached by the end of the step that is under way
            if tokens - sent <= self._settings.last_tokens and kept.grow(tokens + 1):
                yield from self._stop_and_go(move, sent, kept)
        kept.give_back()
        self._busy -= {move.source, move.target}

    def _stop_and_go(self, move: Move, sent: int, kept: _Room) -> Iterator[float]:
        job, fleet = move.job, self._fleet
        source, target = fleet.all[move.source], fleet.all[move.target]
        stopped = source.pause(fleet.now)
        fleet.changed(move.source)
        yield stopped
        if not source.decodes(job):
            return
        last_token = source.hand_over(job)
        if last_token is None:
            return
        yield fleet.now + self._seconds(sent, job.target) + self._settings.stop_seconds
        resumed = target.pause(fleet.now)
        fleet.changed(move.target)
        yield resumed
        target.take_over(job, last_token, kept.blocks)
        target.series.add(stopped, fleet.now, 1, 0.0, 0, 0.0)
        kept.blocks = 0
        fleet.outcomes.moves[job.index] += 1
        fleet.outcomes.replica[job.index] = move.target

    def _seconds(self, sent: int, tokens: int) -> float:
        cache = self._settings.link.cache_bytes((sent, tokens))
        return float(cache[1] - cache[0]) / self._settings.link.bytes_per_second


class _Room:
    """Blocks set aside for a job at the replica that it goes to."""

    def __init__(self, fleet: Replicas, place: int) -> None:
        self._fleet, self._place = fleet, place
        self.blocks = 0

    def grow(self, tokens: int) -> bool:
        """Room for so many tokens; False: there is none, or the replica takes no more jobs."""
        replica = self._fleet.present(self._place)
        more = blocks_for(tokens, replica.block_tokens) - self.blocks
        if self._place not in self._fleet.open or more > replica.spare_blocks:
            return False
        self._set_aside(max(more, 0))
        return True

    def give_back(self) -> None:
        """The job does not come, or is there."""
        self._set_aside(-self.blocks)

    def _set_aside(self, blocks: int) -> None:
        if blocks:
            self._fleet.all[self._place].set_aside(blocks, self._fleet.now)
            self._fleet.changed(self._place)
            self.blocks += blocks
