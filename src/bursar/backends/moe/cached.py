"""Runs the mixture of experts with only some experts in fast memory."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bursar.backends.moe.model import Expert, Floats, Ints, MixtureOfExperts, mixed
from bursar.policies.expert_cache import CachePolicy, CacheState
from bursar.price import Price


@dataclass(slots=True)
class CachedExperts:
    """A `Mix` for `MixtureOfExperts.forward` whose experts lie in `slots` copies of weights.

    Set `expected` (2 * layers or layers, experts) to what the pass is predicted to need before it
    begins. `loads` counts the experts copied, `waited` those that a layer had to wait for.
    """

    model: MixtureOfExperts
    policy: CachePolicy
    slots: int
    fetches: int
    """Experts that can be fetched while one layer computes."""
    expected: NDArray[np.float64] | None = None
    loads: int = 0
    waited: int = 0
    _state: CacheState = field(init=False)
    _memory: dict[int, Expert] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        config = self.model.config
        self._state = CacheState(self.slots, config.experts, config.layers)

    def __call__(self, layer: int, x: Floats, experts: Ints, shares: Floats) -> Floats:
        """See `Mix`."""
        base = layer * self.model.config.experts
        ahead = None if self.expected is None else self.expected[layer:]
        state = replace(
            self._state, layer=layer, fetches=self.fetches, expected=ahead, needed=frozenset()
        )
        state = self._decided(state)
        needed = frozenset((base + np.unique(experts)).tolist())
        state = replace(state, needed=needed)
        self.waited += len(state.missing)
        self._state = self._decided(state).used(needed)
        at_hand = {key - base: self._memory[key] for key in needed}
        return mixed(at_hand, x, experts, shares)

    def _decided(self, state: CacheState) -> CacheState:
        fetch = self.policy.decide(state, 0.0, Price())
        for key in fetch.evict:
            del self._memory[key]
        for key in fetch.load:
            expert = self.model.experts[key // state.experts][key % state.experts]
            self._memory[key] = Expert(expert.gate.copy(), expert.up.copy(), expert.down.copy())
        self.loads += len(fetch.load)
        return state.after(fetch)
