"""What a policy for two lanes on one device is: prompts in one, decodes in the other, both at once.

Whenever a step of either lane begins, the policy divides the device's units between them, and says
whose prompts run next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from bursar.cost.shared_device import Operation
from bursar.policies.batching import Chunk, Job
from bursar.price import Price

Work = Sequence[Operation]
"""What a step of a lane does, one after the other; empty where the lane has nothing to do."""


class LaneDecision(NamedTuple):
    """`prefill_units` of 1 for prompts while both lanes run; `chunks` if the lane is free."""

    prefill_units: float
    chunks: Sequence[Chunk] = ()


class LaneState(Protocol):
    """What the two lanes show to a policy."""

    @property
    def waiting(self) -> Sequence[Job]:
        """Not admitted, by `Job.rank`."""
        ...

    @property
    def prefilling(self) -> Sequence[Job]:
        """Admitted, but their prompt is not complete; none runs while `prefill_is_free`."""
        ...

    @property
    def prefill_is_free(self) -> bool:
        """Whether chunks can begin now."""
        ...

    @property
    def prefill_units(self) -> float:
        """What the last decision was."""
        ...

    @property
    def units_since(self) -> float:
        """When they last changed (seconds)."""
        ...

    @property
    def jobs(self) -> int:
        """How many are admitted."""
        ...

    @property
    def blocks(self) -> int:
        """Blocks of KV cache in all."""
        ...

    @property
    def spare_blocks(self) -> int:
        """Blocks that nobody holds and the decoding jobs don't need for their next step."""
        ...

    def needed_blocks(self, job: Job) -> int:
        """Blocks that the admission of a waiting job takes."""
        ...

    def prefill_work(self, chunks: Sequence[Chunk]) -> Work:
        """The prompts' step that runs, or that these chunks would be."""
        ...

    @property
    def decode_work(self) -> Work:
        """The decodes' step that runs, or comes next."""
        ...

    @property
    def decode_seconds(self) -> float | None:
        """How long the last decode step took; None before the first."""
        ...


class LanePolicy(Protocol):
    """Divides one device between prompts and decodes."""

    def decide(self, state: LaneState, now: float, price: Price) -> LaneDecision:
        """Pure: the same state, time (seconds) and price give the same answer.

        Waiting jobs among the chunks are thereby admitted, and their whole prompt must fit.
        """
        ...


@dataclass(frozen=True, slots=True)
class ShortestFirst:
    """Shortest prompt first: what is left of it in tokens, less `aging` a second of waiting."""

    max_tokens: int = 2048
    """In one step of the prompts' lane; its last chunk may be part of a prompt."""
    max_jobs: int = 256
    aging: float = 15.0

    def chunks(self, state: LaneState, now: float) -> list[Chunk]:
        """What the lane runs next; nothing while it is busy."""
        if not state.prefill_is_free:
            return []
        waiting = set(map(id, state.waiting))
        order = sorted(
            (*state.prefilling, *state.waiting),
            key=lambda job: (
                job.target - job.computed - self.aging * (now - job.arrived),
                job.rank,
            ),
        )
        room, spare, budget = self.max_jobs - state.jobs, state.spare_blocks, self.max_tokens
        chunks: list[Chunk] = []
        for job in order:
            if budget <= 0:
                break
            if id(job) in waiting:
                if room <= 0 or state.needed_blocks(job) > spare:
                    continue
                room -= 1
                spare -= state.needed_blocks(job)
            chunks.append(Chunk(job, min(budget, job.target - job.computed)))
            budget -= chunks[-1].tokens
        return chunks
