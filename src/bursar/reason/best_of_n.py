"""Best-of-N: sample N solutions and give the one that a verifier likes best.

Paper: Cobbe et al., "Training Verifiers to Solve Math Word Problems", 2021, arXiv:2110.14168;
  section 4.2.
Symbols: N -> max_samples.
Differs: the verifier is what is at hand, the learned score or else the log-probability; where an
  exact checker may be asked, sampling ends at the first accepted answer.
Checked: tests/papers/test_best_of_n.py: with the checker it beats voting on Countdown at equal
  tokens, with shuffled scores it does not.
"""

from dataclasses import dataclass

from bursar.reason.base import Arm, Attempt, Pick, Work
from bursar.reason.self_consistency import sample_up_to, vote
from bursar.reason.workbench import Workbench


@dataclass(frozen=True, slots=True)
class BestOfN:
    """The best scored of up to `max_samples` (N) samples; None: as many as the budget allows."""

    max_samples: int | None = None

    def next_arm(self, work: Work, bench: Workbench) -> Arm | None:
        return sample_up_to(self.max_samples, work, bench)

    def pick(self, work: Work) -> Pick:
        answered = [a for a in work.attempts if a.answer is not None]
        scores = [liking(a) for a in answered]
        if not answered or None in scores:  # nothing to tell them apart by but their number
            return vote(work.attempts, [1.0] * len(work.attempts))
        best = max(range(len(answered)), key=lambda i: scores[i] or 0.0)
        return Pick(answered[best].answer, answered[best].score)


def liking(attempt: Attempt) -> float | None:
    """How much the verifier at hand likes an attempt: its score, else its log-probability."""
    return attempt.score if attempt.score is not None else attempt.logprob
