"""Who runs in the next step of an engine: `BATCHING[name]()` makes a policy."""

from collections.abc import Callable

from bursar.policies.batching.base import (
    DECODE,
    DECODE_DEAF,
    BatchPolicy,
    BatchState,
    Chunk,
    Decision,
    Job,
    blocks_for,
    victims,
)
from bursar.policies.batching.orca import Orca
from bursar.policies.batching.prefill_first import PrefillFirst
from bursar.policies.batching.sarathi import SarathiServe
from bursar.policies.batching.static import StaticBatching

BATCHING: dict[str, Callable[[], BatchPolicy]] = {
    "static": StaticBatching,
    "orca": Orca,
    "prefill_first": PrefillFirst,
    "sarathi": SarathiServe,
}
"""Name -> what makes the policy with its usual settings."""

__all__ = [
    "BATCHING",
    "DECODE",
    "DECODE_DEAF",
    "BatchPolicy",
    "BatchState",
    "Chunk",
    "Decision",
    "Job",
    "Orca",
    "PrefillFirst",
    "SarathiServe",
    "StaticBatching",
    "blocks_for",
    "victims",
]
