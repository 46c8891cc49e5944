"""Weighted vote: a vote in which each solution counts by how much a verifier believes it.

Paper: Li et al., "Making Large Language Models Better Reasoners with Step-Aware Verifier", 2022,
  arXiv:2206.02336; section 3.2, eq. (3).
Symbols: f(x, z, y) -> weight, here the probability of the text.
Differs: the weight is exp(log-probability of the text); where the source gives none it is the
  learned verifier's score, and 1 without one.
Checked: tests/papers/test_weighted_vote.py: beats the plain vote on long chains at equal samples;
  with shuffled weights it does not.
"""

import math
from dataclasses import dataclass

from bursar.reason.base import Arm, Attempt, Pick, Work
from bursar.reason.self_consistency import sample_up_to, vote
from bursar.reason.workbench import Workbench


@dataclass(frozen=True, slots=True)
class WeightedVote:
    """Weighted plurality of up to `max_samples`; None: as many as the budget allows."""

    max_samples: int | None = None

    def next_arm(self, work: Work, bench: Workbench) -> Arm | None:
        return sample_up_to(self.max_samples, work, bench)

    def pick(self, work: Work) -> Pick:
        return vote(work.attempts, [self._weight(a) for a in work.attempts])

    def _weight(self, attempt: Attempt) -> float:
        if attempt.logprob is not None:
            return math.exp(attempt.logprob)
        return 1.0 if attempt.score is None else attempt.score
