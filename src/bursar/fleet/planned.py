"""`FleetPlan`: a fleet, what the allocator promised, and what the simulator found."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bursar.allocate.fleet import Fleet
from bursar.cost import Deployment
from bursar.fleet.candidates import Candidate
from bursar.fleet.mix import MixResult, simulate_mix
from bursar.policies.batching import BatchPolicy
from bursar.workload.traces import Trace

MOST_SEARCHED = 4_000
"""Requests that one simulation of a search looks at, about."""


@dataclass(frozen=True, slots=True, eq=False)
class FleetPlan:
    """A fleet, what the allocator promised, and what the simulator found."""

    fleet: Fleet
    """Its gap and price hold among the candidates of the search, filled as in `fill`."""
    instances: tuple[Candidate, ...]
    """Those rented, in the order of `counts`."""
    counts: tuple[int, ...]
    looked: tuple[int, ...]
    """How many of `counts` were simulated, each with its share of the traffic."""
    fill: tuple[float, ...]
    """Per instance, the share of its predicted capacity that is used."""
    trace: Trace
    """What was simulated: for a budget, the trace at the speed that the fleet carries, repeated
    where it would be over soon; its part of it where only a part of the fleet was simulated."""
    place: NDArray[np.int64]
    """(requests,) which of `instances` serves each."""
    simulated: MixResult
    attainment: float
    """Of the requests on instances: what a hosted API does with the others is not known."""
    requests_per_second: float
    hosted_usd_per_hour: float = 0.0
    hosted_share: float = 0.0
    """Of all requests."""
    hosted_name: str = ""

    @property
    def joules_per_request(self) -> float | None:
        """Of all devices, as simulated, by requests served; None where power is not known."""
        used = [part.usage.joules for part in self.simulated.parts if part is not None]
        known, served = [x for x in used if x is not None], np.isfinite(self.simulated.e2e_s).sum()
        return sum(known) / int(served) if len(known) == len(used) and served else None

    @property
    def watts(self) -> float | None:
        """What all devices draw on average, as simulated; None where power is not known."""
        total = 0.0
        for part, count, looked in zip(self.simulated.parts, self.counts, self.looked, strict=True):
            if part is not None and part.usage.seconds:
                if part.usage.joules is None:
                    return None
                total += part.usage.joules / part.usage.seconds * count / looked
        return total

    @property
    def gpus(self) -> int:
        """In all instances."""
        each = [c.deployment.devices for c in self.instances]
        return int(np.dot(each, self.counts))

    @property
    def usd_per_hour(self) -> float:
        """Rent of all of it."""
        return self.fleet.usd_per_hour

    @property
    def fills(self) -> dict[str, float]:
        """`fill` by the names of the candidates."""
        return {c.name: x for c, x in zip(self.instances, self.fill, strict=True)}

    @property
    def prices(self) -> dict[str, float]:
        """What one more unit of each resource that binds buys: requests a second in the goal."""
        once = self.requests_per_second / self.fleet.traffic
        return {name: once * per for name, per in self.fleet.traffic_per.items()}

    def again(self, places: Sequence[Deployment], policy: BatchPolicy) -> MixResult:
        """The first `MOST_SEARCHED` requests on the same numbers of other deployments."""
        rows = np.arange(min(len(self.trace), MOST_SEARCHED))
        trace, place = self.trace.take(rows), self.place[rows]
        return simulate_mix(trace, place, places, self.looked, policy)
