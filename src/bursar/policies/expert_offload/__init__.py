"""Experts on CPU and GPU: where each of a layer runs (`SPLITS`), which stay on the GPU (`CACHES`).

In `expert_cache` experts run in fast memory only, and a policy fetches them there."""

from collections.abc import Callable

from bursar.policies.expert_offload.base import (
    ExpertTimes,
    RetentionPolicy,
    RoutedExpert,
    RoutedLayer,
    Split,
    SplitPolicy,
)
from bursar.policies.expert_offload.baselines import (
    CpuForMisses,
    ExhaustiveSplit,
    GpuForAll,
    LeastFrequentlyUsed,
    LeastRecentlyUsed,
)
from bursar.policies.expert_offload.hybrimoe import HybridSplit, ImpactPrefetch, MinusRecentScore

SPLITS: dict[str, Callable[[], SplitPolicy]] = {
    "cpu_for_misses": CpuForMisses,
    "gpu_for_all": GpuForAll,
    "hybrimoe": HybridSplit,
    "exhaustive": ExhaustiveSplit,
}

CACHES: dict[str, Callable[[], RetentionPolicy]] = {
    "lru": LeastRecentlyUsed,
    "lfu": LeastFrequentlyUsed,
    "hybrimoe": MinusRecentScore,
}

__all__ = [
    "CACHES",
    "SPLITS",
    "CpuForMisses",
    "ExhaustiveSplit",
    "ExpertTimes",
    "GpuForAll",
    "HybridSplit",
    "ImpactPrefetch",
    "LeastFrequentlyUsed",
    "LeastRecentlyUsed",
    "MinusRecentScore",
    "RetentionPolicy",
    "RoutedExpert",
    "RoutedLayer",
    "Split",
    "SplitPolicy",
]
