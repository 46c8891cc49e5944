"""Who runs in the next step of an engine: `BATCHING[name]()` makes a policy.

`BySwap(policy)` and `ByPriority(policy)` change whom and how a policy preempts.
"""

from collections.abc import Callable

from bursar.policies.batching.base import (
    DECODE,
    DECODE_DEAF,
    HISTORY,
    BatchPolicy,
    BatchState,
    Chunk,
    Decision,
    Job,
    Segment,
    begun,
    blocks_for,
    victims,
)
from bursar.policies.batching.by_priority import ByPriority
from bursar.policies.batching.by_swap import BySwap
from bursar.policies.batching.orca import Orca
from bursar.policies.batching.past_future import PastFuture
from bursar.policies.batching.prefill_first import PrefillFirst
from bursar.policies.batching.priorities import DrawnPriorities, GivenPriorities, Priorities
from bursar.policies.batching.sarathi import SarathiServe
from bursar.policies.batching.static import StaticBatching

BATCHING: dict[str, Callable[[], BatchPolicy]] = {
    "static": StaticBatching,
    "orca": Orca,
    "prefill_first": PrefillFirst,
    "sarathi": SarathiServe,
    "vllm": lambda: SarathiServe(watermark=0.0),
    "past_future": PastFuture,
}
"""Name -> what makes the policy with its usual settings."""

__all__ = [
    "BATCHING",
    "DECODE",
    "DECODE_DEAF",
    "HISTORY",
    "BatchPolicy",
    "BatchState",
    "ByPriority",
    "BySwap",
    "Chunk",
    "Decision",
    "DrawnPriorities",
    "GivenPriorities",
    "Job",
    "Orca",
    "PastFuture",
    "PrefillFirst",
    "Priorities",
    "SarathiServe",
    "Segment",
    "StaticBatching",
    "begun",
    "blocks_for",
    "victims",
]
