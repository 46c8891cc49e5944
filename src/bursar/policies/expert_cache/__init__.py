"""Which experts lie in fast memory: `EXPERT_CACHE[name]()` makes a policy.

`RoutePredictor` says before a batch runs which experts it will need, `regroup` forms batches of
tokens that need the same ones. All layers share the slots, and a layer waits for its experts;
where the CPU computes them too: policies/expert_offload.
"""

from collections.abc import Callable

from bursar.policies.expert_cache.base import CachePolicy, CacheState, Fetch
from bursar.policies.expert_cache.expertflow import ExpertFlow
from bursar.policies.expert_cache.lru import LeastRecentlyUsed
from bursar.policies.expert_cache.regroup import regroup
from bursar.policies.expert_cache.routes import RoutePredictor

EXPERT_CACHE: dict[str, Callable[[], CachePolicy]] = {
    "lru": LeastRecentlyUsed,
    "expertflow": ExpertFlow,
}
"""Name -> what makes the policy with its usual settings."""

__all__ = [
    "EXPERT_CACHE",
    "CachePolicy",
    "CacheState",
    "ExpertFlow",
    "Fetch",
    "LeastRecentlyUsed",
    "RoutePredictor",
    "regroup",
]
