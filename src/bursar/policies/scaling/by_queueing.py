"""Scaling by queueing theory: replicas are added while the waiting they save is worth their rent.

The classical trade of servers against waiting (Erlang's C formula; S. Borst, A. Mandelbaum,
M. Reiman, "Dimensioning large call centers", Operations Research 52(1), 2004), with the arrival
rate carried on to when a replica that is rented now would take its first request.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

from bursar.errors import BadInput
from bursar.policies.scaling.base import ScalingState
from bursar.price import Price


@dataclass(frozen=True, slots=True)
class WorthTheRent:
    """Least rent and waiting together, when a replica serves `jobs` requests at a time.

    A second that a request waits is worth `usd_per_wait_second`; `horizon_seconds` is how far back
    the arrival rate and its trend are looked for.
    """

    jobs: int = 16
    usd_per_wait_second: float = 0.01
    horizon_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name in ("jobs", "usd_per_wait_second", "horizon_seconds"):
            if not getattr(self, name) > 0:
                raise BadInput(f"{name} = {getattr(self, name)}; must be above 0")

    def decide(self, state: ScalingState, now: float, price: Price) -> int:
        """See `Scaler.decide`. Raises `BadInput` when the rent is not known."""
        if state.usd_per_second is None:
            raise BadInput("the rent of a replica is not known; scale by load, or give its price")
        if not state.stays:
            return state.size
        rate, stay = self._rate(state, now), sum(state.stays) / len(state.stays)
        offered = rate * stay
        most = math.ceil(2.0 * offered / self.jobs) + 1
        waits = _waits(offered, stay, most * self.jobs)[self.jobs :: self.jobs]
        costs = [
            replicas * state.usd_per_second + rate * wait * self.usd_per_wait_second
            for replicas, wait in enumerate(waits, 1)
        ]
        return 1 + costs.index(min(costs))

    def _rate(self, state: ScalingState, now: float) -> float:
        """Requests a second when a replica rented now is up, if what rises goes on rising."""
        known = state.arrivals
        half = min(self.horizon_seconds, now - known[0]) / 2
        if half <= 0:
            return 0.0
        middle, start = bisect_right(known, now - half), bisect_right(known, now - 2 * half)
        before, last = (middle - start) / half, (len(known) - middle) / half
        return last + max(last - before, 0.0) / half * state.cold_start_seconds


def _waits(offered: float, stay: float, most: int) -> list[float]:
    """Mean wait (seconds) with 0, 1, ... `most` servers; infinity where the queue never ends.

    Erlang C by the recursion of Erlang B; `offered` load in servers, `stay` in seconds.
    """
    blocked, waits = 1.0, [math.inf]
    for servers in range(1, most + 1):
        blocked = offered * blocked / (servers + offered * blocked)
        spare = servers - offered
        delayed = servers * blocked / (spare + offered * blocked) if spare > 0 else 1.0
        waits.append(delayed * stay / spare if spare > 0 else math.inf)
    return waits
