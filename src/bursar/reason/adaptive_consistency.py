"""Adaptive consistency: stop sampling a question when its leading answer is safely ahead.

Paper: Aggarwal et al., "Let's Sample Step by Step: Adaptive-Consistency for Efficient Reasoning
  and Coding with LLMs", 2023, arXiv:2305.11860; section 3, Beta criterion.
Symbols: v1, v2 -> votes of the two leading answers; C_thresh -> confidence; k -> max_samples.
Differs: nothing known.
Checked: tests/papers/test_adaptive_consistency.py: reaches the fixed vote's accuracy with at most
  half its samples.
"""

from collections import Counter
from dataclasses import dataclass

from bursar.reason.base import Arm, Pick, Work
from bursar.reason.self_consistency import vote
from bursar.reason.workbench import Workbench
from bursar.value.voting import p_top_beats_second


@dataclass(frozen=True, slots=True)
class AdaptiveConsistency:
    """Samples until P(leader is ahead | votes) exceeds `confidence`, at most `max_samples`."""

    confidence: float = 0.95
    max_samples: int = 40

    def next_arm(self, work: Work, bench: Workbench) -> Arm | None:
        if len(work.attempts) >= self.max_samples or self._sure(work):
            return None
        return Arm(bench.backends[0], bench.temperature)

    def pick(self, work: Work) -> Pick:
        return vote(work.attempts, [1.0] * len(work.attempts))

    def _sure(self, work: Work) -> bool:
        votes = Counter(a.answer for a in work.attempts if a.answer is not None)
        leading = [n for _, n in votes.most_common(2)] + [0, 0]
        return float(p_top_beats_second(leading[0], leading[1])) > self.confidence
