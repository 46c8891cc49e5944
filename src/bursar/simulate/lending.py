"""Lent memory: a replica's jobs hold blocks at others, where their attention is then computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bursar.cost import Deployment
from bursar.errors import BadInput
from bursar.policies.lending import Lender
from bursar.simulate.disaggregated import Link
from bursar.simulate.fleet_replica import FleetReplica
from bursar.simulate.replicas import Replicas
from bursar.simulate.step_times import Chunks, Lengths, Line, StepTimes, Sums


@dataclass(frozen=True, slots=True)
class RemoteAttention:
    """What a step sends for attention elsewhere: for each decoding job, and for each step.

    `job_bytes`: the query out and the partial result back, of all layers; `step_seconds`: a round
    trip for each layer.
    """

    job_bytes: float
    step_seconds: float


def remote_attention(deployment: Deployment, round_trip_seconds: float = 2e-5) -> RemoteAttention:
    """For a model with attention in every layer; queries and results in 2 bytes a number."""
    model = deployment.model
    return RemoteAttention(
        job_bytes=4.0 * model.layers * model.hidden, step_seconds=model.layers * round_trip_seconds
    )


@dataclass(frozen=True, slots=True)
class Lending:
    """Ask a policy every `interval_seconds` who lends to whom.

    Blocks at home are used first. A job may need as much as its replica has and a share `reach` of
    what the others have. While it has something away, each step of the debtor takes as long as if
    all were read at home, and what `remote` sends over the link beside it; each step of a creditor
    takes longer by reading what it has lent; and what has moved within an interval makes both ends
    wait for its time on the link.
    """

    policy: Lender
    link: Link
    remote: RemoteAttention
    interval_seconds: float = 0.2
    reach: float = 0.75

    def __post_init__(self) -> None:
        if not self.interval_seconds > 0:
            raise BadInput(f"interval_seconds = {self.interval_seconds}; must be above 0")
        if not 0 <= self.reach <= 1:
            raise BadInput(f"reach = {self.reach}; must be a share, 0 to 1")

    def begin(self, fleet: Replicas) -> LendingOut:
        """See `Control.begin`. Longer requests are let in from now on."""
        fleet.capacity_tokens = int(fleet.capacity_tokens * (1 + self.reach * (fleet.size - 1)))
        return LendingOut(self, fleet)


class LendingOut:
    """Lending at work; a `LendingState`."""

    def __init__(self, settings: Lending, fleet: Replicas) -> None:
        self._settings, self._fleet = settings, fleet
        self._tick = settings.interval_seconds
        self._own = fleet.server.blocks
        self.owed = [[0] * fleet.size for _ in range(fleet.size)]
        self._away = [[0.0] * fleet.size for _ in range(fleet.size)]
        """[debtor][creditor] blocks in use."""
        self._stuck, self._seen = False, (0, 0)
        self._owing = [Wait() for _ in range(fleet.size)]

    @property
    def due(self) -> float:
        """See `Acting`."""
        return self._tick

    @property
    def working(self) -> bool:
        """See `Acting`: unless all stood still when it last looked, and so did it."""
        return not self._stuck or self._seen != self._counts

    @property
    def _counts(self) -> tuple[int, int]:
        return self._fleet.routed, len(self._fleet.outcomes.done)

    @property
    def replicas(self) -> list[FleetReplica]:
        """See `LendingState`."""
        return self._fleet.replicas

    @property
    def spare(self) -> list[int]:
        """See `LendingState`."""
        return [replica.spare_blocks for replica in self._fleet.replicas]

    def act(self) -> None:
        """See `Acting`."""
        fleet, now = self._fleet, self._fleet.now
        self._tick, self._seen = now + self._settings.interval_seconds, self._counts
        still = fleet.next_end() == math.inf
        loans = self._settings.policy.decide(self, now, fleet.price)
        for debtor, creditor, blocks in loans:
            first, second = (debtor, creditor) if blocks < 0 else (creditor, debtor)
            fleet.present(first).set_aside(abs(blocks), now)  # leaves one end...
            fleet.present(second).set_aside(-abs(blocks), now)  # ...and comes to the other
            fleet.all[debtor].blocks += blocks
            fleet.all[creditor].blocks -= blocks
            back = min(max(blocks, 0), self.owed[creditor][debtor])  # its own debt comes first
            self.owed[creditor][debtor] -= back
            self.owed[debtor][creditor] += blocks - back
            fleet.changed(debtor)
            fleet.changed(creditor)
        self._stuck = still and not loans
        self._charge()

    def _charge(self) -> None:
        """Every replica's steps take what it has away, has lent, and has moved costs."""
        fleet, link = self._fleet, self._settings.link
        size, block = fleet.size, fleet.server.block_tokens
        before, self._away = self._away, [self._used(debtor) for debtor in range(size)]
        for place in range(size):
            moved = sum(
                abs(self._away[a][b] - before[a][b])
                for a in range(size)
                for b in range(size)
                if place in (a, b)
            )
            wait = self._owing[place]
            wait.seconds += float(link.cache_bytes(moved * block)) / link.bytes_per_second
            guest = block * sum(self._away[debtor][place] for debtor in range(size))
            times = fleet.server.times
            if guest or wait.seconds or any(self._away[place]):
                times = SharedTimes(
                    times,
                    wait=wait,
                    guest_tokens=int(guest),
                    remote=self._settings.remote if any(self._away[place]) else None,
                    bytes_per_second=link.bytes_per_second,
                )
            fleet.all[place].retime(times, fleet.now)
            fleet.changed(place)

    def _used(self, debtor: int) -> list[float]:
        """Blocks in use at each creditor, in proportion to what is owed."""
        replica, owed = self._fleet.all[debtor], self.owed[debtor]
        lent = sum(row[debtor] for row in self.owed)
        used = replica.blocks - replica.free_blocks
        away = max(0, used - (self._own - lent))
        return [away * blocks / sum(owed) if blocks else 0.0 for blocks in owed]


@dataclass(slots=True)
class Wait:
    """What the next step waits for first."""

    seconds: float = 0.0

    def over(self) -> float:
        """It is waited for."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds


class SharedTimes:
    """A replica's step times while some of its attention is elsewhere, or others' is here."""

    def __init__(
        self,
        times: StepTimes,
        *,
        wait: Wait,
        guest_tokens: int,
        remote: RemoteAttention | None,
        bytes_per_second: float,
    ) -> None:
        self._times, self._wait = times, wait
        self.windows, self.seconds_per_request = times.windows, times.seconds_per_request
        self.idle_watts = times.idle_watts
        self._guest_seconds, self._guest_joules = _reading(times, guest_tokens)
        self._job_seconds = remote.job_bytes / bytes_per_second if remote else 0.0
        self._step_seconds = remote.step_seconds if remote else 0.0

    def step(self, counts: Lengths, contexts: Sums, chunks: Chunks) -> tuple[float, float]:
        """See `StepTimes.step`."""
        seconds, joules = self._times.step(counts, contexts, chunks)
        more = self._more(sum(counts) + sum(new for new, _ in chunks))
        return seconds + more + self._wait.over(), joules + self._guest_joules

    def line(self, counts: Lengths, contexts: Sums) -> Line:
        """See `StepTimes.line`."""
        line = self._times.line(counts, contexts)
        wait = self._wait.over()
        return line._replace(
            seconds=line.seconds + self._more(sum(counts)) + wait,
            joules=line.joules + self._guest_joules,
            steps=1 if wait else line.steps,
        )

    def _more(self, queries: int) -> float:
        return self._guest_seconds + self._step_seconds + queries * self._job_seconds


def _reading(times: StepTimes, tokens: int) -> tuple[float, float]:
    """(seconds, joules) more of a decode step whose context is longer by so many tokens."""
    if not tokens:
        return 0.0, 0.0
    last: Sequence[int] = (0,) * len(times.windows)
    far = times.windows[-1] if times.windows else 1
    short = times.step((*last, 1), (*last, far), ())
    long = times.step((*last, 1), (*last, far + tokens), ())
    return long[0] - short[0], long[1] - short[1]
