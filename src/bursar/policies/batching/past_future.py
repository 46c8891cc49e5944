"""Past-Future: admits while the peak of memory to come, judged by past answers, fits.

Paper: Ruihao Gong, Shihao Bai, Siyu Wu, Yunqian Fan, Zaijun Wang, Xiuhong Li, Hailong Yang,
    Xianglong Liu, "Past-Future Scheduler for LLM Serving under SLA Guarantees", 2025,
    arXiv:2507.10150; section 3 (the distribution of past lengths, the peak of future memory).
Symbols: M* -> _peak; l_t -> BatchState.generated; w -> HISTORY; P(l > l_t) -> _predicted.
Differs: a request keeps one quantile of the distribution instead of a new draw at each step, and
    quantiles are spread evenly over requests, so that decisions are pure and the engine is told
    for how long one holds; steps are formed as in prefill-first.
Checked: tests/papers/test_past_future.py: with more users than memory suits and answers
    that grow longer, less than a quarter of prefill-first's evictions, and more requests within
    the goals than prefill-first (a few per cent; the paper has 2 to 3 times) and Orca. With a
    watermark as large as `reserved` prefill-first has as many within the goals, if more evictions.
Seed: 47
"""

from bisect import bisect_right, insort
from dataclasses import dataclass

from bursar.policies.batching.base import (
    DECODE,
    DECODE_DEAF,
    BatchState,
    Chunk,
    Decision,
    Job,
    begun,
    require_at_least_one,
    victims,
)
from bursar.price import Price

_GOLDEN = 0.6180339887498949  # multiples of it fall evenly over 0..1, whichever are taken


@dataclass(frozen=True, slots=True)
class PastFuture:
    """`reserved`: share of the cache that the predicted peak leaves free.

    `max_output_tokens` is what an answer is taken to need when none in the past was as long.
    """

    max_jobs: int = 256
    max_tokens: int = 8192
    max_output_tokens: int = 2048
    reserved: float = 0.05

    def __post_init__(self) -> None:
        require_at_least_one(
            max_jobs=self.max_jobs,
            max_tokens=self.max_tokens,
            max_output_tokens=self.max_output_tokens,
        )

    def decide(self, state: BatchState, now: float, price: Price) -> Decision:
        """A step of whole prompts when their future fits, else a decode step."""
        if state.prefilling:
            return Decision(chunks=begun(state), decode=False)
        room = self.max_jobs - len(state.running)
        if room > 0 and state.waiting:
            chunks, excess = self._prompts(state, room)
            if chunks:
                return Decision(chunks=chunks, decode=False)
            preempt = victims(state)
            return Decision(preempt=preempt, most_steps=excess)
        if preempt := victims(state):
            return Decision(preempt=preempt)
        return DECODE if room > 0 else DECODE_DEAF

    def _prompts(self, state: BatchState, room: int) -> tuple[list[Chunk], int | None]:
        """Whom to admit; and for how many steps the future of the next can't fit, if it does not.

        A step lowers the peak by at most a token for each job that does not decode meanwhile.
        """
        capacity = int((1.0 - self.reserved) * state.blocks) * state.block_tokens
        free, tokens = state.free_blocks - state.growth_blocks, self.max_tokens
        futures = sorted(self._future(job, state) for job in state.running.values())
        chunks: list[Chunk] = []
        for job in state.waiting:
            left = job.target - state.cached_tokens(job)
            free -= state.needed_blocks(job)
            tokens -= left
            if len(chunks) == room or free < 0 or (tokens < 0 and chunks):
                break
            insort(futures, self._future(job, state))
            excess = _peak(futures) - capacity
            if excess > 0 and len(futures) > 1:
                still = 1 + sum(x.computed < x.target for x in state.running.values())
                return chunks, -(-excess // still)
            chunks.append(Chunk(job, left))
        return chunks, None

    def _future(self, job: Job, state: BatchState) -> tuple[int, int]:
        """(minus the tokens that it will still generate, the tokens that it needs cached now)."""
        generated = state.generated(job)
        return generated - self._predicted(job, generated, state), job.prompt + generated

    def _predicted(self, job: Job, generated: int, state: BatchState) -> int:
        """The job's quantile of past answers longer than what it has; never falls as it grows."""
        past = state.finished_outputs
        shorter = bisect_right(past, generated)
        if shorter == len(past):
            return max(self.max_output_tokens, generated + 1)
        quantile = job.index * _GOLDEN % 1.0
        return past[shorter + int(quantile * (len(past) - shorter))]


def _peak(futures: list[tuple[int, int]]) -> int:
    """Most tokens cached at any time to come, from (minus the remaining, now), sorted by it.

    Memory peaks just before some job is done; then the jobs with no less to come are still there.
    """
    held = peak = 0
    for jobs, (minus_remaining, now) in enumerate(futures, 1):
        held += now
        peak = max(peak, held - jobs * minus_remaining)
    return peak
