"""Where a layer's experts run (`SPLITS`), and which stay on the GPU (`CACHES`)."""

from collections.abc import Callable

from bursar.policies.experts.base import (
    CachePolicy,
    ExpertTimes,
    RoutedExpert,
    RoutedLayer,
    Split,
    SplitPolicy,
)
from bursar.policies.experts.baselines import (
    CpuForMisses,
    ExhaustiveSplit,
    GpuForAll,
    LeastFrequentlyUsed,
    LeastRecentlyUsed,
)
from bursar.policies.experts.hybrimoe import HybridSplit, ImpactPrefetch, MinusRecentScore

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
