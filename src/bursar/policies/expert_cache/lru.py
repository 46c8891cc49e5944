"""Loads what is needed, drops what was used the longest time ago."""

from dataclasses import dataclass

from bursar.policies.expert_cache.base import CacheState, Fetch
from bursar.price import Price


@dataclass(frozen=True, slots=True)
class LeastRecentlyUsed:
    """On demand only."""

    def decide(self, state: CacheState, now: float, price: Price) -> Fetch:
        """See `CachePolicy.decide`."""
        missing = state.missing
        over = max(0, len(state.resident) + len(missing) - state.slots)
        idle = [key for key in state.resident if key not in state.needed]
        return Fetch(missing, tuple(idle[:over]))
