"""A verifier made worse, for studies: how good must a verifier be, for a strategy to use it?"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

from scipy.special import expit, logit

from bursar.backends.base import Completion
from bursar.backends.draws import uniforms
from bursar.errors import BadInput
from bursar.reason.base import Work
from bursar.reason.purse import Call
from bursar.reason.verify.base import Verifier
from bursar.reason.workbench import Workbench

_NORMAL = NormalDist()
_CERTAIN = 0.01
"""A score this near to 0 or 1 counts as that near: else no noise could move it."""


@dataclass(frozen=True, slots=True)
class Noisy:
    """`verifier` with errors fixed by (`seed`, question, attempt, number of the verdict).

    With chance `flips` a score s becomes 1 - s; then normal noise of standard deviation `spread` is
    added to its log-odds. Half of the verdicts flipped leave nothing of a verifier.
    """

    verifier: Verifier
    flips: float = 0.0
    spread: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.flips <= 1 and self.spread >= 0):
            raise BadInput(
                f"flips {self.flips:g} and spread {self.spread:g}: flips is a chance from 0 to 1, "
                "spread zero or more"
            )

    def asks(self, work: Work, attempt: int, sample: int, bench: Workbench) -> Call | None:
        """What the verifier asks."""
        return self.verifier.asks(work, attempt, sample, bench)

    def reads(
        self, work: Work, attempt: int, sample: int, said: Completion | None, bench: Workbench
    ) -> float | None:
        """What the verifier reads, disturbed; None stays None."""
        score = self.verifier.reads(work, attempt, sample, said, bench)
        if score is None:
            return None
        u_flip, u_noise, _, _ = uniforms("noise", self.seed, work.question.id, attempt, sample)
        if u_flip < self.flips:
            score = 1.0 - score
        if not self.spread:
            return score
        odds = logit(min(1 - _CERTAIN, max(_CERTAIN, score)))
        return float(expit(odds + self.spread * _NORMAL.inv_cdf(u_noise)))
