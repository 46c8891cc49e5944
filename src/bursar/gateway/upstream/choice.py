"""Which upstream of a pool a call goes to: `CHOICES[name]()` makes a rule. Rules are pure.

The routers of `policies.routing` that look at numbers of jobs serve here as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from bursar.policies.routing import JoinIdle, LeastJobs, RoundRobin, Router
from bursar.price import Price


@dataclass(frozen=True, slots=True)
class PoolState:
    """The upstreams that can take a call now, side by side."""

    routed: int
    """Calls that the pool has sent before."""
    jobs: Sequence[int]
    """Calls under way at each."""
    sent: Sequence[int]
    """Calls that each has been sent so far."""
    weights: Sequence[float]
    prices: Sequence[float]
    """Dollars per million tokens; 0 where it is not known or nothing."""

    @property
    def size(self) -> int:
        return len(self.jobs)


class Rule(Protocol):
    """Chooses among upstreams."""

    def decide(self, state: PoolState, now: float, price: Price) -> int:
        """The place of the upstream, below `state.size`, that a call takes at `now` (seconds)."""
        ...


@dataclass(frozen=True, slots=True)
class LeastOutstanding:
    """The one with the fewest calls under way for its weight."""

    def decide(self, state: PoolState, now: float, price: Price) -> int:
        """See `Rule.decide`."""
        return _least([(n + 1) / w for n, w in zip(state.jobs, state.weights, strict=True)])


@dataclass(frozen=True, slots=True)
class ByWeight:
    """Calls in proportion to the weights, whatever they take."""

    def decide(self, state: PoolState, now: float, price: Price) -> int:
        """See `Rule.decide`."""
        return _least([(n + 1) / w for n, w in zip(state.sent, state.weights, strict=True)])


@dataclass(frozen=True, slots=True)
class CheapestFirst:
    """The cheapest that has room; of equally cheap ones the one with the fewest calls."""

    def decide(self, state: PoolState, now: float, price: Price) -> int:
        """See `Rule.decide`."""
        jobs = [(n + 1) / w for n, w in zip(state.jobs, state.weights, strict=True)]
        return min(range(state.size), key=lambda i: (state.prices[i], jobs[i]))


@dataclass(frozen=True, slots=True)
class _Routed:
    """A router of the simulator that asks only for `size`, `routed` and `jobs`."""

    router: Router

    def decide(self, state: PoolState, now: float, price: Price) -> int:
        return self.router.decide(cast(Any, state), now, price)


def _least(costs: Sequence[float]) -> int:
    return costs.index(min(costs))


CHOICES: dict[str, Callable[[], Rule]] = {
    "least_outstanding": LeastOutstanding,
    "by_weight": ByWeight,
    "cheapest_first": CheapestFirst,
    "round_robin": lambda: _Routed(RoundRobin()),
    "least_jobs": lambda: _Routed(LeastJobs()),
    "join_idle": lambda: _Routed(JoinIdle()),
}
"""Name -> what makes the rule."""
