"""What HybriMoE is measured against: fixed mappings, all splits, and the usual caches."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from bursar.errors import BadInput
from bursar.policies.expert_offload.base import Bools, Floats, RoutedLayer, Split, split_by
from bursar.price import Price

_MOST_EXPERTS = 12  # 4096 splits


@dataclass(frozen=True, slots=True)
class CpuForMisses:
    """Experts on the GPU run there, all others on the CPU: the mapping of kTransformers."""

    def decide(self, state: RoutedLayer, now: float, price: Price) -> Split:
        """See `SplitPolicy.decide`."""
        return split_by(state, [x.expert for x in state.experts if x.on_gpu_seconds == np.inf])


@dataclass(frozen=True, slots=True)
class GpuForAll:
    """Every expert runs on the GPU, brought there if need be: offloading without a CPU."""

    def decide(self, state: RoutedLayer, now: float, price: Price) -> Split:
        """See `SplitPolicy.decide`."""
        return split_by(state, ())


@dataclass(frozen=True, slots=True)
class ExhaustiveSplit:
    """The best of all splits, for at most 12 experts; `BadInput` beyond."""

    def decide(self, state: RoutedLayer, now: float, price: Price) -> Split:
        """See `SplitPolicy.decide`."""
        experts = [x.expert for x in state.experts]
        if len(experts) > _MOST_EXPERTS:
            raise BadInput(
                f"{len(experts)} experts have 2^{len(experts)} splits; at most {_MOST_EXPERTS} are "
                "tried: use hybrimoe"
            )
        subsets = (c for size in range(len(experts) + 1) for c in combinations(experts, size))
        return min((split_by(state, c) for c in subsets), key=lambda split: split.seconds)


@dataclass(frozen=True, slots=True)
class LeastRecentlyUsed:
    """The expert that was routed to longest ago goes first."""

    def values(self, before: Floats, scores: Floats, used: Bools, now: float) -> Floats:
        """See `RetentionPolicy.values`."""
        return np.where(used, now + 1.0, before)


@dataclass(frozen=True, slots=True)
class LeastFrequentlyUsed:
    """The expert that was routed to in the fewest steps goes first."""

    def values(self, before: Floats, scores: Floats, used: Bools, now: float) -> Floats:
        """See `RetentionPolicy.values`."""
        return before + used
