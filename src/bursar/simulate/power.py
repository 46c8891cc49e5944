"""Power of a row of servers: read at times, capped by lowering clocks, which takes a while."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from bursar.errors import BadInput
from bursar.policies.power import FULL, Clocks, PowerPolicy
from bursar.simulate.phase_power import PhasedTimes
from bursar.simulate.replicas import Replicas


@dataclass(frozen=True, slots=True)
class PowerCap:
    """Read the row's power every `interval_seconds`, ask a policy, and carry out its clocks.

    The first `urgent` replicas are those for requests of priority 0 (see `routing.ByPriority`).
    New clocks are in force after `cap_seconds`; where one is below `brake_below`, after
    `brake_seconds`. A reading is the mean since the one before. Raises `BadInput` for a limit or an
    interval that is not above zero.
    """

    policy: PowerPolicy
    limit_watts: float
    urgent: int
    interval_seconds: float = 2.0
    cap_seconds: float = 40.0
    brake_seconds: float = 5.0
    brake_below: float = 0.5

    def __post_init__(self) -> None:
        for name in ("limit_watts", "interval_seconds"):
            if not getattr(self, name) > 0:
                raise BadInput(f"{name} = {getattr(self, name)}; must be above 0")

    def begin(self, fleet: Replicas) -> Capping:
        """See `Control.begin`. Raises `BadInput` unless the server's times are `PhasedTimes`."""
        if not isinstance(fleet.server.times, PhasedTimes):
            raise BadInput("the server's times know no clock; wrap them in PhasedTimes")
        return Capping(self, fleet, fleet.server.times)


class Capping:
    """A power cap at work; a `PowerState`."""

    def __init__(self, settings: PowerCap, fleet: Replicas, times: PhasedTimes) -> None:
        self._settings, self._fleet, self._times = settings, fleet, times
        self._tick = settings.interval_seconds
        self._joules, self._size = 0.0, len(fleet.all)
        self._orders: deque[tuple[float, Clocks]] = deque()
        """(when they are in force, clocks), in this order."""
        self.limit_watts, self.watts, self.clocks = settings.limit_watts, 0.0, FULL

    @property
    def due(self) -> float:
        """See `Acting`."""
        return min(self._tick, self._orders[0][0]) if self._orders else self._tick

    @property
    def working(self) -> bool:
        """See `Acting`."""
        return False

    def act(self) -> None:
        """See `Acting`."""
        fleet, settings = self._fleet, self._settings
        if len(fleet.all) != self._size:
            raise BadInput("a power cap knows a row of fixed size: leave out the scaling")
        while self._orders and self._orders[0][0] <= fleet.now:
            self._set(self._orders.popleft()[1])
        if fleet.now < self._tick:
            return
        self._tick = fleet.now + settings.interval_seconds
        joules = sum(one.joules_until(fleet.now) for one in fleet.all)
        self.watts, self._joules = (joules - self._joules) / settings.interval_seconds, joules
        clocks = settings.policy.decide(self, fleet.now, fleet.price)
        if clocks != self.clocks:
            self.clocks = clocks
            brakes = min(clocks) < settings.brake_below
            at = fleet.now + (settings.brake_seconds if brakes else settings.cap_seconds)
            while self._orders and self._orders[-1][0] > at:  # a brake overtakes what was ordered
                self._orders.pop()
            self._orders.append((at, clocks))

    def _set(self, clocks: Clocks) -> None:
        urgent, others = (self._times.at(clock) for clock in clocks)
        for place, replica in enumerate(self._fleet.all):
            replica.retime(urgent if place < self._settings.urgent else others, self._fleet.now)
            self._fleet.changed(place)
