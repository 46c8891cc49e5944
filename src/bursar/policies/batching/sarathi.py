"""Sarathi-Serve: prompts are cut into chunks that ride on decode steps, under a token budget.

Paper: Amey Agrawal, Nitin Kedia, Ashish Panwar, Jayashree Mohan, Nipun Kwatra, Bhargav S.
    Gulavani, Alexey Tumanov, Ramachandran Ramjee, "Taming Throughput-Latency Tradeoff in LLM
    Inference with Sarathi-Serve", 2024, arXiv:2403.02310; section 4, algorithm 3.
Symbols: tau -> max_tokens; c -> Chunk.tokens; R -> BatchState.running.
Differs: a preempted job recomputes; the budget is given, not derived from a latency goal.
Checked: tests/papers/test_sarathi.py: keeps the tail of the time between tokens within a goal at
    no less than 1.5 times the load at which prefill-first breaks it; too small a budget costs
    throughput.
Seed: 113
"""

from dataclasses import dataclass

from bursar.policies.batching.base import (
    DECODE,
    DECODE_DEAF,
    BatchState,
    Chunk,
    Decision,
    require_at_least_one,
    victims,
)
from bursar.price import Price


@dataclass(frozen=True, slots=True)
class SarathiServe:
    """At most `max_tokens` in a step: first all decodes, then begun prompts, then new ones.

    With `max_tokens` = `max_num_batched_tokens` and no watermark, vLLM's V1 engine.
    """

    max_jobs: int = 256
    max_tokens: int = 2048
    watermark: float = 0.01

    def __post_init__(self) -> None:
        require_at_least_one(max_jobs=self.max_jobs, max_tokens=self.max_tokens)

    def decide(self, state: BatchState, now: float, price: Price) -> Decision:
        """Decodes, and as many prompt tokens beside them as the budget has left."""
        if preempt := victims(state):
            return Decision(preempt=preempt)
        if (state.waiting or state.prefilling) and (chunks := self._chunks(state)):
            return Decision(chunks=chunks)
        return DECODE if len(state.running) < self.max_jobs else DECODE_DEAF

    def _chunks(self, state: BatchState) -> list[Chunk]:
        jobs = len(state.running)
        budget = self.max_tokens - (jobs - len(state.prefilling))
        chunks: list[Chunk] = []
        for job in state.prefilling:
            if budget <= 0:
                return chunks
            chunks.append(Chunk(job, min(budget, job.target - job.computed)))
            budget -= chunks[-1].tokens
        kept = int(self.watermark * state.blocks) if jobs else 0
        free = state.free_blocks - state.growth_blocks - kept
        for job in state.waiting:
            free -= state.needed_blocks(job)
            if budget <= 0 or jobs >= self.max_jobs or free < 0:
                break
            chunks.append(Chunk(job, min(budget, job.target - state.cached_tokens(job))))
            budget -= chunks[-1].tokens
            jobs += 1
        return chunks
