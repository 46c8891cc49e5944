"""Difficulty from a few probe samples: one success rate per question, shrunk to the task's own law.

The rates of a task's questions follow a Beta(a, b), with a share `hopeless` of questions that no
number of samples solves. Fitted by maximum likelihood to (successes, trials) of all questions
(beta-binomial), with a weak prior worth a few questions, so that a handful of counts, or counts
that are all right or all wrong, give a sane answer.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import betaln, expit

from bursar.errors import BadInput
from bursar.value.base import Floats, check_counts


@dataclass(frozen=True)
class BetaDifficulty:
    """The law of a task's success rates: `hopeless` at 0, the others Beta(`a`, `b`).

    Methods take a question's (successes, trials), any broadcastable shapes, and answer for its
    posterior. With neither, they answer for a question never tried.
    """

    a: float = 1.0
    b: float = 1.0
    hopeless: float = 0.0

    def __post_init__(self) -> None:
        if not (self.a > 0 and self.b > 0 and 0 <= self.hopeless < 1):
            raise BadInput(
                "a and b must be above 0 and hopeless in [0, 1), "
                f"got {self.a}, {self.b}, {self.hopeless}"
            )

    @classmethod
    def fit(cls, successes: ArrayLike, trials: ArrayLike, *, prior_questions: float = 2.0) -> Self:
        """Empirical Bayes from counts per question, (questions,). Untried questions are ignored.

        The hyperprior draws the mean to 1/2 and a + b to about 2 with the force of
        `prior_questions` questions, and `hopeless` to a tenth.
        """
        right, tried = check_counts(successes, trials)
        pairs = np.column_stack([right.ravel(), tried.ravel()])
        pairs, times = np.unique(pairs[pairs[:, 1] > 0], axis=0, return_counts=True)

        def loss(free: Floats) -> float:
            law = cls._from_free(free)
            seen = times @ law._log_evidence(pairs[:, 0], pairs[:, 1]) if len(pairs) else 0.0
            mean, size = expit(free[0]), free[1]
            prior = np.log(mean * (1 - mean)) - (size - np.log(2)) ** 2 / 8
            spike = np.log(law.hopeless) + 9 * np.log1p(-law.hopeless)
            return -float(seen + prior_questions * prior / 2 + spike / 5)

        # two starts: the likelihood can have one mode with hopeless questions and one without
        starts = (np.array([0.0, 0.7, -2.0]), np.array([-1.0, 0.7, 0.0]))
        found = [minimize(loss, s, method="L-BFGS-B", bounds=[(-9, 9)] * 3) for s in starts]
        return cls._from_free(min(found, key=lambda f: float(f.fun)).x)

    @classmethod
    def _from_free(cls, free: Floats) -> Self:
        """From logit mean, log (a + b), logit hopeless."""
        mean, size = float(expit(free[0])), float(np.exp(free[1]))
        return cls(mean * size, (1 - mean) * size, float(expit(free[2])))

    def success_next(self, successes: ArrayLike = 0, trials: ArrayLike = 0) -> Floats:
        """P(the next sample is right)."""
        right, tried = check_counts(successes, trials)
        share = (self.a + right) / (self.a + self.b + tried)
        return self._alive(right, tried) * share

    def success_within(
        self, n: ArrayLike, successes: ArrayLike = 0, trials: ArrayLike = 0
    ) -> Floats:
        """P(one of the next `n` samples is right) = alive (1 - B(a, b + n) / B(a, b))."""
        right, tried = check_counts(successes, trials)
        more = np.asarray(n, dtype=float)
        if np.any(more < 0):
            raise BadInput(f"n must be zero or more, got {more}")
        a, b = self.a + right, self.b + tried - right
        within: Floats = self._alive(right, tried) * -np.expm1(betaln(a, b + more) - betaln(a, b))
        return within

    def mean_rate(self) -> float:
        """Average success rate of the task's questions, the hopeless ones included."""
        return (1 - self.hopeless) * self.a / (self.a + self.b)

    def _alive(self, right: Floats, tried: Floats) -> Floats:
        """P(not hopeless | counts)."""
        log_miss = betaln(self.a, self.b + tried) - betaln(self.a, self.b)
        seen = (1 - self.hopeless) * np.exp(log_miss)
        alive: Floats = np.where(right > 0, 1.0, seen / (seen + self.hopeless))
        return alive

    def _log_evidence(self, right: Floats, tried: Floats) -> Floats:
        """log P(these outcomes in this order)."""
        live = betaln(self.a + right, self.b + tried - right) - betaln(self.a, self.b)
        live = live + np.log1p(-self.hopeless)
        log_hopeless = np.log(self.hopeless) if self.hopeless else -np.inf
        evidence: Floats = np.where(right > 0, live, np.logaddexp(live, log_hopeless))
        return evidence
