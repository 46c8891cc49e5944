"""Which replica an arriving request joins: `ROUTING[name]` makes a router. Routers are pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bursar.price import Price


class FleetState(Protocol):
    """What a fleet shows to a router."""

    @property
    def size(self) -> int:
        """Replicas."""
        ...

    @property
    def routed(self) -> int:
        """Requests that have been routed before this one."""
        ...

    @property
    def jobs(self) -> Sequence[int]:
        """Jobs in each replica, waiting or running."""
        ...


class Router(Protocol):
    """Sends each request to a replica."""

    def decide(self, state: FleetState, now: float, price: Price) -> int:
        """The replica that the request arriving `now` (seconds) joins."""
        ...


@dataclass(frozen=True, slots=True)
class RoundRobin:
    """One after the other."""

    def decide(self, state: FleetState, now: float, price: Price) -> int:
        """See `Router.decide`."""
        return state.routed % state.size


@dataclass(frozen=True, slots=True)
class LeastJobs:
    """The replica with the fewest jobs; of several the first."""

    def decide(self, state: FleetState, now: float, price: Price) -> int:
        """See `Router.decide`."""
        jobs = state.jobs
        return jobs.index(min(jobs))


ROUTING: dict[str, Callable[[], Router]] = {
    "round_robin": RoundRobin,
    "least_jobs": LeastJobs,
}
"""Name -> what makes the router."""
