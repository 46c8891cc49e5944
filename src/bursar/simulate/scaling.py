"""Scaling: replicas are rented, take requests after a cold start, and drain before they leave."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from bursar.errors import BadInput
from bursar.policies.scaling import RECENT, Scaler
from bursar.simulate.fleet_replica import FleetReplica
from bursar.simulate.replicas import Replicas


@dataclass(frozen=True, slots=True)
class Scaling:
    """Ask a policy every `interval_seconds`, and rent or give back what it says.

    A replica is rented from the decision on, takes requests `cold_start_seconds` later, and is paid
    until it has answered all of its requests. The fleet starts with at least `minimum` replicas,
    which are up at once. It shrinks only after the policy has asked for less for
    `patience_seconds`, and then to the most that it asked for meanwhile. Raises `BadInput` unless
    1 <= `minimum` <= `maximum`, times are not negative and the interval is above zero.
    """

    policy: Scaler
    cold_start_seconds: float = 60.0
    minimum: int = 1
    maximum: int = 64
    interval_seconds: float = 5.0
    patience_seconds: float = 60.0

    def __post_init__(self) -> None:
        if not 1 <= self.minimum <= self.maximum:
            raise BadInput(
                f"minimum = {self.minimum}, maximum = {self.maximum} replicas; "
                "must be 1 or more, the first not above the second"
            )
        if not (self.cold_start_seconds >= 0 and self.patience_seconds >= 0):
            raise BadInput(
                f"cold_start_seconds = {self.cold_start_seconds}, patience_seconds = "
                f"{self.patience_seconds}; neither may be below 0"
            )
        if not self.interval_seconds > 0:
            raise BadInput(f"interval_seconds = {self.interval_seconds}; must be above 0")

    def begin(self, fleet: Replicas) -> Resizing:
        """See `Control.begin`. Raises `BadInput` for a fleet that is not within the bounds."""
        if not self.minimum <= fleet.size <= self.maximum:
            raise BadInput(
                f"the fleet starts with {fleet.size} replicas, outside of {self.minimum} to "
                f"{self.maximum}; change one of them"
            )
        return Resizing(self, fleet)


class Resizing:
    """Scaling at work; a `ScalingState`."""

    def __init__(self, settings: Scaling, fleet: Replicas) -> None:
        self._settings, self._fleet = settings, fleet
        self._tick = settings.interval_seconds
        self._starting: deque[tuple[float, int]] = deque()
        """(when it is up, place) of replicas, the first first."""
        self._asked = deque([(0.0, fleet.size)])
        """(when, how many) the policy asked for, within the patience."""
        self._stays: deque[float] = deque(maxlen=RECENT)
        self._answered = 0

    @property
    def due(self) -> float:
        """See `Acting`."""
        return min(self._tick, self._starting[0][0]) if self._starting else self._tick

    @property
    def working(self) -> bool:
        """See `Acting`: requests wait at replicas, so that one more does not help them."""
        return False

    @property
    def size(self) -> int:
        """See `ScalingState`."""
        return self._fleet.size + len(self._starting)

    @property
    def replicas(self) -> list[FleetReplica]:
        """See `ScalingState`."""
        return self._fleet.replicas

    @property
    def cold_start_seconds(self) -> float:
        """See `ScalingState`."""
        return self._settings.cold_start_seconds

    @property
    def usd_per_second(self) -> float | None:
        """See `ScalingState`."""
        return self._fleet.server.usd_per_second

    @property
    def arrivals(self) -> list[float]:
        """See `ScalingState`."""
        return self._fleet.arrivals[-RECENT:]

    @property
    def stays(self) -> deque[float]:
        """See `ScalingState`."""
        outcomes, arrivals = self._fleet.outcomes, self._fleet.arrivals
        for index in outcomes.done[self._answered :]:
            self._stays.append(outcomes.finished[index] - arrivals[index])
        self._answered = len(outcomes.done)
        return self._stays

    def act(self) -> None:
        """See `Acting`."""
        now, settings = self._fleet.now, self._settings
        while self._starting and self._starting[0][0] <= now:
            self._fleet.open.append(self._starting.popleft()[1])
        if now < self._tick:
            return
        self._tick = now + settings.interval_seconds
        self._fleet.give_back_drained()
        asked = self._settings.policy.decide(self, now, self._fleet.price)
        self._asked.append((now, min(max(asked, settings.minimum), settings.maximum)))
        while self._asked[0][0] < now - settings.patience_seconds:
            self._asked.popleft()
        most, last = max(size for _, size in self._asked), self._asked[-1][1]
        for _ in range(self.size, last):
            self._grow()
        for _ in range(most, self.size):
            self._shrink()

    def _grow(self) -> None:
        fleet, wait = self._fleet, self._settings.cold_start_seconds
        if fleet.draining:
            fleet.open.append(fleet.draining.pop())
        elif wait:
            self._starting.append((fleet.now + wait, fleet.rent()))
        else:
            fleet.open.append(fleet.rent())

    def _shrink(self) -> None:
        """Give back the replica that would be up last, or drain the one with the fewest jobs."""
        fleet = self._fleet
        if self._starting:
            fleet.give_back(self._starting.pop()[1], fleet.now)
            return
        jobs = fleet.jobs
        fleet.drain(fleet.open[jobs.index(min(jobs))])
