"""Experts on CPU and GPU: where a layer's run (`SPLITS`), and which stay on the GPU (`CACHES`).

Each layer has slots of its own, and an expert that is not on the GPU can run on the CPU. Where
all layers share the slots and a layer waits for its experts: policies/expert_cache.
"""

from collections.abc import Callable

from bursar.policies.hybrid_experts.base import (
    CachePolicy,
    ExpertTimes,
    RoutedExpert,
    RoutedLayer,
    Split,
    SplitPolicy,
)
from bursar.policies.hybrid_experts.baselines import (
    CpuForMisses,
    ExhaustiveSplit,
    GpuForAll,
    LeastFrequentlyUsed,
    LeastRecentlyUsed,
)
from bursar.policies.hybrid_experts.hybrimoe import HybridSplit, ImpactPrefetch, MinusRecentScore

SPLITS: dict[str, Callable[[], SplitPolicy]] = {
    "cpu_for_misses": CpuForMisses,
    "gpu_for_all": GpuForAll,
    "hybrimoe": HybridSplit,
    "exhaustive": ExhaustiveSplit,
}

CACHES: dict[str, Callable[[], CachePolicy]] = {
    "lru": LeastRecentlyUsed,
    "lfu": LeastFrequentlyUsed,
    "hybrimoe": MinusRecentScore,
}

__all__ = [
    "CACHES",
    "SPLITS",
    "CachePolicy",
    "CpuForMisses",
    "ExhaustiveSplit",
    "ExpertTimes",
    "GpuForAll",
    "HybridSplit",
    "ImpactPrefetch",
    "LeastFrequentlyUsed",
    "LeastRecentlyUsed",
    "MinusRecentScore",
    "RoutedExpert",
    "RoutedLayer",
    "Split",
    "SplitPolicy",
]
