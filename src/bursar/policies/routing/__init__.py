"""Which replica an arriving request joins: `ROUTING[name]()` makes a router. Routers are pure."""

from collections.abc import Callable

from bursar.policies.routing.base import FleetState, Router, wanted_tokens
from bursar.policies.routing.by_tokens import CachedPrefix, LeastTokens
from bursar.policies.routing.in_turn import ByPriority, JoinIdle, LeastJobs, RoundRobin

ROUTING: dict[str, Callable[[], Router]] = {
    "round_robin": RoundRobin,
    "least_jobs": LeastJobs,
    "join_idle": JoinIdle,
    "least_tokens": LeastTokens,
    "cached_prefix": CachedPrefix,
}
"""Name -> what makes the router."""

__all__ = [
    "ROUTING",
    "ByPriority",
    "CachedPrefix",
    "FleetState",
    "JoinIdle",
    "LeastJobs",
    "LeastTokens",
    "RoundRobin",
    "Router",
    "wanted_tokens",
]
