"""Who runs in the next step of an engine: `BATCHING[name]()` makes a policy."""

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
    blocks_for,
    victims,
)
from bursar.policies.batching.orca import Orca
from bursar.policies.batching.past_future import PastFuture
from bursar.policies.batching.prefill_first import PrefillFirst
from bursar.policies.batching.sarathi import SarathiServe
from bursar.policies.batching.static import StaticBatching

BATCHING: dict[str, Callable[[], BatchPolicy]] = {
    "static": StaticBatching,
    "orca": Orca,
    "prefill_first": PrefillFirst,
    "sarathi": SarathiServe,
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
    "Chunk",
    "Decision",
    "Job",
    "Orca",
    "PastFuture",
    "PrefillFirst",
    "SarathiServe",
    "Segment",
    "StaticBatching",
    "blocks_for",
    "victims",
]
