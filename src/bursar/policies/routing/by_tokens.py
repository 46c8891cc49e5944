"""Routers that look at what the replicas' memory holds."""

from dataclasses import dataclass

from bursar.errors import BadInput
from bursar.policies.routing.base import FleetState, wanted_tokens
from bursar.price import Price


@dataclass(frozen=True, slots=True)
class LeastTokens:
    """The replica whose jobs hold or wait for the fewest tokens of KV cache."""

    def decide(self, state: FleetState, now: float, price: Price) -> int:
        """See `Router.decide`."""
        tokens = [wanted_tokens(replica) for replica in state.replicas]
        return tokens.index(min(tokens))


@dataclass(frozen=True, slots=True)
class CachedPrefix:
    """The replica with the least prefill ahead of the answer, and not too full.

    Ahead are the tokens of the prompt that are not cached there, those of the prompts that wait,
    and, `crowding` times, those that its jobs hold: 0 sends to the cache however full.
    """

    crowding: float = 0.1

    def __post_init__(self) -> None:
        if not self.crowding >= 0:
            raise BadInput(f"crowding = {self.crowding}; must be 0 or more")

    def decide(self, state: FleetState, now: float, price: Price) -> int:
        """See `Router.decide`."""
        job, costs = state.arriving, []
        for replica in state.replicas:
            waiting = sum(other.target for other in replica.waiting)
            held = wanted_tokens(replica) - waiting
            costs.append(waiting - replica.cached_tokens(job) + self.crowding * held)
        return costs.index(min(costs))
