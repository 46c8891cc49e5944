"""Serves a routing trace batch by batch from a cache of experts, and counts what had to wait."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bursar.policies.expert_cache import CachePolicy, CacheState
from bursar.price import Price
from bursar.workload.expert_routing import RoutingTrace

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CacheRun:
    """What a run needed and fetched."""

    needed: int
    """Experts that layers needed: one for each batch, layer and distinct expert."""
    waited: int
    """Of these, not resident when the router had spoken: misses."""
    loads: int
    """Experts fetched, in advance or not."""

    @property
    def hit_rate(self) -> float:
        """Share of the needed experts that were there."""
        return 1.0 - self.waited / self.needed


def serve_experts(
    trace: RoutingTrace,
    batches: Sequence[Ints],
    policy: CachePolicy,
    *,
    slots: int,
    fetches: int,
    expected: Floats | None = None,
) -> CacheRun:
    """Run the `batches` (row numbers of the trace) one after another, layer by layer.

    `expected` (tokens, layers, experts) is what a predictor says of each row; the policy sees its
    sums over the running batch and the next one. `fetches` experts can be fetched while one layer
    computes. Raises `BadInput` for fewer slots than a layer has experts.
    """
    layers = trace.num_layers
    ahead = None if expected is None else np.stack([expected[rows].sum(0) for rows in batches])
    state = CacheState(slots, trace.num_experts, layers, fetches=fetches)
    needs = waited = loads = 0
    for number, rows in enumerate(batches):
        for layer in range(layers):
            soon = None if ahead is None else np.concatenate(ahead[number : number + 2])[layer:]
            state = replace(state, layer=layer, expected=soon, needed=frozenset())
            fetch = policy.decide(state, 0.0, Price())
            state, loads = state.after(fetch), loads + len(fetch.load)
            distinct = np.unique(trace.experts[rows, layer])
            state = replace(
                state, needed=frozenset((layer * trace.num_experts + distinct).tolist())
            )
            waited += len(state.missing)
            needs += len(distinct)
            fetch = policy.decide(state, 0.0, Price())
            state = state.after(fetch).used(state.needed)
            loads += len(fetch.load)
    return CacheRun(needs, waited, loads)
