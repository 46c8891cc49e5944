"""In which order a layer's experts are loaded: `EXPERT_LOADING[name]()` makes an order."""

from collections.abc import Callable

from bursar.policies.expert_loading.base import (
    ArrivalByExpert,
    ArrivalOrder,
    LoadingOrder,
    LoadingState,
)
from bursar.policies.expert_loading.d2moe import BitRouter, HottestExpertBitFirst

EXPERT_LOADING: dict[str, Callable[[], LoadingOrder]] = {
    "arrival": ArrivalOrder,
    "arrival_by_expert": ArrivalByExpert,
    "d2moe": HottestExpertBitFirst,
}
"""Name -> what makes the order."""

__all__ = [
    "EXPERT_LOADING",
    "ArrivalByExpert",
    "ArrivalOrder",
    "BitRouter",
    "HottestExpertBitFirst",
    "LoadingOrder",
    "LoadingState",
]
