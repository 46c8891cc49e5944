"""Routers that look at the number of jobs, or at nothing."""

from dataclasses import dataclass

from bursar.errors import BadInput
from bursar.policies.routing.base import FleetState
from bursar.price import Price


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


@dataclass(frozen=True, slots=True)
class JoinIdle:
    """A replica with nothing to do when there is one, else one after the other.

    What a router can do that hears from its replicas only when they become idle.
    """

    def decide(self, state: FleetState, now: float, price: Price) -> int:
        """See `Router.decide`."""
        turn, jobs = state.routed % state.size, state.jobs
        order = [*range(turn, state.size), *range(turn)]
        return next((place for place in order if not jobs[place]), turn)


@dataclass(frozen=True, slots=True)
class ByPriority:
    """Requests of priority 0 go to the first `urgent` replicas, the others to the rest.

    Among these to the one with the fewest jobs.
    """

    urgent: int

    def decide(self, state: FleetState, now: float, price: Price) -> int:
        """See `Router.decide`. Raises `BadInput` unless both have a replica."""
        if not 0 < self.urgent < state.size:
            raise BadInput(f"urgent = {self.urgent} of {state.size} replicas; leave some for each")
        jobs = state.jobs
        mine = range(self.urgent) if state.arriving.priority == 0 else range(self.urgent, len(jobs))
        return min(mine, key=lambda place: jobs[place])
