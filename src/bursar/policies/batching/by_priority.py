"""Priorities obeyed, by any batching policy: who waits displaces running jobs of less priority."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bursar.policies.batching.base import (
    BatchPolicy,
    BatchState,
    Chunk,
    Decision,
    Job,
)
from bursar.policies.batching.priorities import GivenPriorities, Priorities
from bursar.policies.batching.sarathi import SarathiServe
from bursar.price import Price


@dataclass(frozen=True, slots=True)
class ByPriority:
    """`policy`, with preemption of the least urgent when it would not admit the most urgent.

    As few as will do are preempted, the last in rank first, and only those of less priority than
    who waits; where even all of them would not be enough, none. The policy is asked what it would
    do without them, so that its own limits stay in force.
    """

    policy: BatchPolicy = field(default_factory=SarathiServe)
    priorities: Priorities = field(default_factory=GivenPriorities)

    def decide(self, state: BatchState, now: float, price: Price) -> Decision:
        """See `BatchPolicy.decide`."""
        shown = _Shown.at(state, self.priorities, now)
        decision = self.policy.decide(shown, now, price)
        steps = [] if decision.most_steps is None else [decision.most_steps]
        if shown.waiting and not (decision.preempt or decision.swap):
            head = shown.waiting[0]
            lower = [job for job in shown.running.values() if job.priority > head.priority]
            if lower and not _admits(decision, head):
                room = shown.free_blocks - shown.needed_blocks(head)
                lower.sort(key=lambda job: job.rank, reverse=True)
                for count, job in enumerate(lower, 1):
                    room += shown.held_blocks(job)
                    if room < 0:
                        continue
                    without = self.policy.decide(shown.without(lower[:count]), now, price)
                    if _admits(without, head):
                        return shown.meant(Decision(preempt=tuple(lower[:count]), decode=False))
                    if without.most_steps is not None:
                        steps.append(without.most_steps)
        until = min(decision.until, self.priorities.until(now))
        most_steps = min(steps, default=None)
        return shown.meant(decision._replace(deaf=False, most_steps=most_steps, until=until))


def _admits(decision: Decision, job: Job) -> bool:
    return any(chunk.job is job for chunk in decision.chunks)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A `BatchState` with the priorities of the moment, and some jobs perhaps preempted."""

    state: BatchState
    waiting: Sequence[Job]
    running: Mapping[int, Job]
    prefilling: Sequence[Job]
    free_blocks: int
    growth_blocks: int

    @classmethod
    def at(cls, state: BatchState, priorities: Priorities, now: float) -> _Shown:
        waiting, running, prefilling = state.waiting, state.running, state.prefilling
        if priorities.until(now) < math.inf:
            waiting = sorted(_as_of(waiting, priorities, now), key=lambda job: job.rank)
            copies = _as_of(running.values(), priorities, now)
            running = {job.index: job for job in copies}
            prefilling = [running[job.index] for job in prefilling]
        return cls(state, waiting, running, prefilling, state.free_blocks, state.growth_blocks)

    def without(self, gone: Collection[Job]) -> _Shown:
        indices = {job.index for job in gone}
        return replace(
            self,
            waiting=sorted([*self.waiting, *gone], key=lambda job: job.rank),
            running={i: job for i, job in self.running.items() if i not in indices},
            prefilling=[job for job in self.prefilling if job.index not in indices],
            free_blocks=self.free_blocks + sum(self.held_blocks(job) for job in gone),
            growth_blocks=self.growth_blocks - sum(self.grows(job) for job in gone),
        )

    def meant(self, decision: Decision) -> Decision:
        """The same decision about the engine's own jobs."""
        if self.running is self.state.running:
            return decision
        jobs = {job.index: job for job in (*self.state.waiting, *self.state.running.values())}
        return decision._replace(
            preempt=tuple(jobs[job.index] for job in decision.preempt),
            swap=tuple(jobs[job.index] for job in decision.swap),
            chunks=[Chunk(jobs[chunk.job.index], chunk.tokens) for chunk in decision.chunks],
        )

    @property
    def block_tokens(self) -> int:
        return self.state.block_tokens

    @property
    def blocks(self) -> int:
        return self.state.blocks

    @property
    def finished_outputs(self) -> Sequence[int]:
        return self.state.finished_outputs

    def held_blocks(self, job: Job) -> int:
        return self.state.held_blocks(job)

    def needed_blocks(self, job: Job) -> int:
        return self.state.needed_blocks(job)

    def cached_tokens(self, job: Job) -> int:
        return self.state.cached_tokens(job)

    def grows(self, job: Job) -> bool:
        return self.state.grows(job)

    def generated(self, job: Job) -> int:
        return self.state.generated(job)


def _as_of(jobs: Collection[Job], priorities: Priorities, now: float) -> list[Job]:
    return [replace(job, priority=priorities.of(job, now)) for job in jobs]
