"""What `auto` believes about every question: which answer is right, what more attempts would buy,
and what they would cost. Learned while spending, task by task, from the attempts alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bursar.reason.base import Arm, Attempt, Pick, Work
from bursar.reason.self_consistency import vote
from bursar.reason.workbench import Workbench
from bursar.value.answer_belief import AnswerBelief, AnswerLaw, Votes

Floats = NDArray[np.float64]
SHARPNESS, FEW = 3.0, 4.0
"""How far log-probability sets up to `FEW` votes apart: 2 to 4 did best on the built-in models.
With more votes it falls as one over the root of their number, as the noise of counting does: what a
likelihood gets wrong does not average out (LOG.md)."""
GUESS, SHRINK, RIDGE = 0.4, 2.0, 10.0


@dataclass(slots=True)
class TaskBelief:
    """Beliefs about the questions of one task.

    All attempts by one model are taken as draws from one rate: a greedy answer is right more often
    than a sample, but it fails where the samples scatter, so counting it as surer misleads there.
    """

    works: list[Work]
    backends: tuple[str, ...]
    checked: bool
    start: AnswerLaw | None = None
    answers: AnswerBelief = field(init=False)
    _names: list[list[str]] = field(init=False)

    def __post_init__(self) -> None:
        guess = AnswerLaw.guess([0.0] * len(self.backends))
        self.answers = AnswerBelief(len(self.works), self.start or guess, checked=self.checked)
        self.update(refit=False)

    def update(self, refit: bool = True) -> None:
        """Take in the attempts bought since."""
        self._names = []
        self.answers.observe([self._votes(w) for w in self.works])
        if refit:
            self.answers.refit()

    def picks(self) -> list[Pick]:
        """The answer to each question, and the probability that the leading one is right.

        Among answers the votes decide, each with its weight: the belief says how sure to be.
        """
        out = []
        for i, work in enumerate(self.works):
            if work.verified is not None:
                out.append(Pick(work.verified, 1.0))
            elif self.checked:  # all refused; a refused answer is still better than none
                last = next((a.answer for a in reversed(work.attempts) if a.answer), None)
                out.append(Pick(last, 0.0 if work.attempts else None))
            else:
                sharp = SHARPNESS * min(1.0, (FEW / max(len(work.attempts), 1)) ** 0.5)
                best = vote(work.attempts, [weight_of(a, sharp) for a in work.attempts]).answer
                out.append(Pick(best, float(self.answers.p_right[i]) if work.attempts else None))
        return out

    def after(self, arm: Arm, ms: Sequence[int]) -> Floats:
        """(questions, len(ms)): P(right) after m more attempts by `arm`, never below now."""
        return self.answers.after(self.backends.index(arm.backend), ms)

    def _votes(self, work: Work) -> Votes:
        names: list[str] = []
        index = []
        for attempt in work.attempts:
            if attempt.answer is None or (self.checked and not attempt.verified):
                index.append(-1)
                continue
            if attempt.answer not in names:
                names.append(attempt.answer)
            index.append(names.index(attempt.answer))
        self._names.append(names)
        right = names.index(work.verified) if work.verified in names else None
        arms = [self.backends.index(a.arm.backend) for a in work.attempts]
        return Votes(arms, index, right, likelihood_of(work.attempts[0]) if work.attempts else None)


def weight_of(attempt: Attempt, sharpness: float) -> float:
    """How much an attempt's vote counts: more, the likelier its text.

    A text's log-probability varies by about the root of its length, so it is taken per root of
    the length; 1 where the source gives none.
    """
    likelihood = likelihood_of(attempt)
    return 1.0 if likelihood is None else float(np.exp(sharpness * likelihood))


def likelihood_of(attempt: Attempt) -> float | None:
    """Log-probability of an attempt's text per root of its length; None where unknown."""
    if attempt.logprob is None or not attempt.usage.tokens_out:
        return None
    return attempt.logprob / float(np.sqrt(attempt.usage.tokens_out))


@dataclass(slots=True)
class CostBelief:
    """What one attempt by an arm costs in one resource, learned per task.

    A line through (prompt length, measured cost), and each question's own mean shrunk to it with
    the weight of `SHRINK` attempts. An arm not
    measured yet is taken to use the share of its bound that others did, or else `GUESS` of it.
    """

    bench: Workbench
    resource: str

    def of(self, works: Sequence[Work], arm: Arm) -> Floats:
        """(questions,) expected cost of one attempt."""
        bounds = [self.bench.upper_bound(w, arm) for w in works]
        length = np.array([b.tokens_in or 0.0 for b in bounds])
        bound = np.array([b.get(self.resource) or 0.0 for b in bounds])
        seen = [
            (i, c)
            for i, w in enumerate(works)
            for a in w.attempts
            if a.arm == arm and (c := a.usage.get(self.resource)) is not None
        ]
        if not seen:
            return np.maximum(self._usual_share(works) * bound, 1e-12)
        rows = np.array([i for i, _ in seen])
        cost = np.array([c for _, c in seen], dtype=float)
        line = _line(length[rows], cost)
        expected = np.clip(line[0] + line[1] * length, 0.2 * cost.mean(), None)
        count = np.bincount(rows, minlength=len(works))
        total = np.bincount(rows, cost, len(works))
        mean = (total + SHRINK * expected) / (count + SHRINK)
        return np.asarray(np.clip(mean, 1e-12, np.where(bound > 0, bound, np.inf)))

    def _usual_share(self, works: Sequence[Work]) -> float:
        """Which share of its bound an attempt used, over all arms; `GUESS` before any."""
        used = bound = 0.0
        for work in works:
            for attempt in work.attempts:
                cost = attempt.usage.get(self.resource)
                most = self.bench.upper_bound(work, attempt.arm).get(self.resource)
                if cost is not None and most is not None:
                    used, bound = used + cost, bound + most
        return used / bound if bound > 0 else GUESS


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    """Least squares; until x varies, a cost is taken to grow in proportion to the length."""
    centre = x - x.mean()
    proportional = y.mean() / max(x.mean(), 1.0)
    slope = float((centre @ (y - y.mean()) + RIDGE * proportional) / (centre @ centre + RIDGE))
    return float(y.mean() - slope * x.mean()), slope
