"""Static batching: a batch is admitted together, and the next when all of it is done.

How servers worked before iteration-level scheduling, and the baseline that papers since Orca
measure against. Here a job that is done leaves at once and costs nothing more; in the systems of
that time it was computed as padding until the batch was done, so this flatters the baseline.
"""

from dataclasses import dataclass

from bursar.policies.batching.base import (
    DECODE_DEAF,
    BatchState,
    Chunk,
    Decision,
    begun,
    blocks_for,
    require_at_least_one,
    victims,
)
from bursar.price import Price


@dataclass(frozen=True, slots=True)
class StaticBatching:
    """At most `max_jobs` in a batch, and of those as many as fit with `max_output_tokens` each."""

    max_jobs: int = 256
    max_output_tokens: int = 2048

    def __post_init__(self) -> None:
        require_at_least_one(max_jobs=self.max_jobs, max_output_tokens=self.max_output_tokens)

    def decide(self, state: BatchState, now: float, price: Price) -> Decision:
        """Admit a batch when there is none, else decode. See `BatchPolicy.decide`."""
        if state.running:
            if preempt := victims(state):
                return Decision(preempt=preempt, deaf=True)
            return Decision(chunks=begun(state)) if state.prefilling else DECODE_DEAF
        free = state.blocks
        chunks: list[Chunk] = []
        for job in state.waiting:
            longest = max(job.prompt + self.max_output_tokens, job.target)
            free -= blocks_for(longest, state.block_tokens)
            if len(chunks) == self.max_jobs or (chunks and free < 0):
                break
            chunks.append(Chunk(job, job.target - state.cached_tokens(job)))
        return Decision(chunks=chunks)
