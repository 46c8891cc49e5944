"""Generative verification: sample solutions, sample several verdicts on each, weigh the votes.

Paper: Zhang et al., "Generative Verifiers: Reward Modeling as Next-Token Prediction", 2024,
  arXiv:2408.15240; section 3.2, eq. (5).
Symbols: N, S -> max_solutions; K, V -> verifications; r(x, y) -> mean score of the verdicts.
Differs: the verdict is one word, no reasoning goes before it; votes are weighed by the mean score
  (as in arXiv:2504.01005) unless `best` picks the solution with the best one, as in the paper; an
  exact checker's yes, where it may be asked, ends a question.
Checked: tests/papers/test_genrm.py: where the built-in model's verdicts mean something it beats
  voting at equal tokens, where they do not it loses to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bursar.answer import Answer
from bursar.errors import BadInput
from bursar.reason.base import Arm, OnRound, Pick, Round, Work, to_answer
from bursar.reason.self_consistency import vote
from bursar.reason.verify.base import Verifier, judge, mean_scores
from bursar.reason.verify.self_evaluation import SelfEvaluation
from bursar.reason.workbench import Workbench
from bursar.workload.tasks.base import Question

_LEAST = 1e-6
"""What a solution weighs that every verdict calls wrong: if all are, the plain vote decides."""


@dataclass(frozen=True, slots=True)
class GenRM:
    """Up to `max_solutions` (S; None: as the budget allows) with `verifications` (V) verdicts each.

    A round buys one solution for every open question and then its verdicts, so that whenever the
    budget ends few solutions are unjudged.
    """

    verifications: int = 1
    max_solutions: int | None = None
    verifier: Verifier = field(default_factory=lambda: SelfEvaluation(temperature=1.0))
    best: bool = False
    name: str = "genrm"

    def __post_init__(self) -> None:
        if self.verifications < 0:
            raise BadInput(f"{self.verifications} verifications: give 0 (plain voting) or more")

    async def solve(
        self, questions: Sequence[Question], bench: Workbench, on_round: OnRound | None = None
    ) -> list[Answer]:
        works = [Work(q) for q in questions]
        arm = Arm(bench.backends[0], bench.temperature)
        refused = 0
        while not refused and (open_works := self._open(works, arm)):
            before = [len(w.attempts) for w in open_works]
            refused = await bench.attempt([(w, arm) for w in open_works])
            fresh = [w for w, n in zip(open_works, before, strict=True) if len(w.attempts) > n]
            asked = [(w, len(w.attempts) - 1) for w in fresh] * self.verifications
            refused += await judge(self.verifier, asked, bench)
            if on_round:
                picks = tuple(self.pick(w) for w in works)
                on_round(Round(bench.purse.spent, None, len(fresh), picks))
        return [to_answer(w, self.pick(w)) for w in works]

    def pick(self, work: Work) -> Pick:
        """The answer to give now."""
        if work.verified is not None:
            return Pick(work.verified, 1.0)
        scores = mean_scores(work)
        known = [s for s in scores if s is not None]
        usual = sum(known) / len(known) if known else 1.0  # of a solution that nobody judged
        weights = [max(_LEAST, usual if s is None else s) for s in scores]
        if self.best and known:
            top = max(range(len(weights)), key=lambda i: weights[i])
            return Pick(work.attempts[top].answer, weights[top])
        return vote(work.attempts, weights)

    def _open(self, works: Sequence[Work], arm: Arm) -> list[Work]:
        for work in works:
            if work.verified is not None:
                work.stopped = "verified"
            elif self.max_solutions is not None and len(work.attempts) >= self.max_solutions:
                work.stopped = "enough"
            elif arm in work.closed:
                work.stopped = "exhausted"
        return [w for w in works if not w.stopped]
