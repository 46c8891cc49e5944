"""Self-consistency: sample several solutions and give the answer that most of them reach.

Paper: Wang et al., "Self-Consistency Improves Chain of Thought Reasoning in Language Models",
  2022, arXiv:2203.11171; section 2, plurality vote.
Symbols: m -> max_samples.
Differs: without `max_samples` it samples until the budget ends; an attempt without an answer has
  no vote; ties go to the answer seen first.
Checked: tests/papers/test_self_consistency.py: voting over 16 beats a single sample at chains of
  6 operations and more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bursar.reason.base import Arm, Pick, Work
from bursar.reason.workbench import Workbench


@dataclass(frozen=True, slots=True)
class SelfConsistency:
    """Plurality of up to `max_samples` (m) samples; None: as many as the budget allows."""

    max_samples: int | None = None

    def next_arm(self, work: Work, bench: Workbench) -> Arm | None:
        return sample_up_to(self.max_samples, work, bench)

    def pick(self, work: Work) -> Pick:
        return vote(work.attempts, [1.0] * len(work.attempts))


def sample_up_to(limit: int | None, work: Work, bench: Workbench) -> Arm | None:
    """One more sample of the first model, until a question has `limit` of them; None: no limit."""
    if limit is not None and len(work.attempts) >= limit:
        return None
    return Arm(bench.backends[0], bench.temperature)


class Answered(Protocol):
    """Whatever states an answer, or none."""

    @property
    def answer(self) -> str | None: ...


def vote(attempts: Sequence[Answered], weights: Sequence[float]) -> Pick:
    """The answer with the largest sum of weights, and its share of them; ties to the first seen."""
    tally: dict[str, float] = {}
    for attempt, weight in zip(attempts, weights, strict=True):
        if attempt.answer is not None:
            tally[attempt.answer] = tally.get(attempt.answer, 0.0) + weight
    if not tally:
        return Pick(None, None)
    best = max(tally, key=tally.__getitem__)
    total = sum(tally.values())
    return Pick(best, tally[best] / total if total > 0 else None)
