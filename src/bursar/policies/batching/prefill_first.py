"""vLLM prefill-first: paged KV cache without reservation; waiting prompts run before decodes.

Paper: Woosuk Kwon, Zhuohan Li, Siyuan Zhuang, Ying Sheng, Lianmin Zheng, Cody Hao Yu, Joseph E.
    Gonzalez, Hao Zhang, Ion Stoica, "Efficient Memory Management for Large Language Model Serving
    with PagedAttention", 2023, arXiv:2309.06180; section 4.5 (scheduling and preemption).
Symbols: B -> BatchState.block_tokens; max_num_seqs -> max_jobs; max_num_batched_tokens ->
    max_tokens.
Differs: preemption by recomputation, or by swap inside of `BySwap`; one sequence a request, so no
    sharing of blocks; a prompt above `max_tokens` runs alone instead of being refused.
Checked: tests/papers/test_batching.py: with scarce memory, at least 1.7 times the throughput of
    reserving the longest answer (Orca), on answers far below the longest.
"""

from dataclasses import dataclass

from bursar.policies.batching.base import (
    DECODE,
    DECODE_DEAF,
    BatchState,
    Chunk,
    Decision,
    begun,
    require_at_least_one,
    victims,
)
from bursar.price import Price


@dataclass(frozen=True, slots=True)
class PrefillFirst:
    """`watermark`: share of the blocks that admissions leave free, so that decodes can grow."""

    max_jobs: int = 256
    max_tokens: int = 8192
    watermark: float = 0.01

    def __post_init__(self) -> None:
        require_at_least_one(max_jobs=self.max_jobs, max_tokens=self.max_tokens)

    def decide(self, state: BatchState, now: float, price: Price) -> Decision:
        """A step of whole prompts when one fits, else a decode step."""
        if state.prefilling:
            return Decision(chunks=begun(state), decode=False)
        room = self.max_jobs - len(state.running)
        if state.waiting and room > 0 and (chunks := self._prompts(state, room)):
            return Decision(chunks=chunks, decode=False)
        if state.growth_blocks > state.free_blocks:
            return Decision(preempt=victims(state))
        return DECODE if room > 0 else DECODE_DEAF

    def _prompts(self, state: BatchState, room: int) -> list[Chunk]:
        kept = int(self.watermark * state.blocks) if state.running else 0
        free, tokens = state.free_blocks - kept, self.max_tokens
        chunks: list[Chunk] = []
        for job in state.waiting:
            left = job.target - state.cached_tokens(job)
            free -= state.needed_blocks(job)
            tokens -= left
            if len(chunks) == room or free < 0 or (tokens < 0 and chunks):
                break
            chunks.append(Chunk(job, left))
        return chunks
