"""Weighted vote: a vote in which each solution counts by how much a verifier believes it.

Paper: Li et al., "Making Large Language Models Better Reasoners with Step-Aware Verifier", 2022,
  arXiv:2206.02336; section 3.2, eq. (3).
Symbols: f(x, z, y) -> weight, here the learned score, or the probability of the text.
Differs: without a learned verifier the weight is exp(log-probability of the text), and 1 where
  the source gives none.
Checked: tests/papers/test_weighted_vote.py: beats the plain vote on long chains at equal samples;
  with shuffled weights it does not.
"""

import math
from dataclasses import dataclass

from bursar.reason.base import Arm, Attempt, Pick, Work
from bursar.reason.self_consistency import vote
from bursar.reason.workbench import Workbench


@dataclass(frozen=True, slots=True)
class WeightedVote:
    """Votes weighted by `weight_by`: "logprob" or "score" (falls back to the other, then to 1)."""

    max_samples: int | None = None
    weight_by: str = "logprob"

    def next_arm(self, work: Work, bench: Workbench) -> Arm | None:
        if self.max_samples is not None and len(work.attempts) >= self.max_samples:
            return None
        return Arm(bench.backends[0], bench.temperature)

    def pick(self, work: Work) -> Pick:
        return vote(work.attempts, [self._weight(a) for a in work.attempts])

    def _weight(self, attempt: Attempt) -> float:
        by_text = None if attempt.logprob is None else math.exp(attempt.logprob)
        order = (by_text, attempt.score)
        if self.weight_by == "score":
            order = (attempt.score, by_text)
        return next((w for w in order if w is not None), 1.0)
