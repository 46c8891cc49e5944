"""TTSPM: how many samples, or rounds of rethinking, until one more buys less than a threshold.

Paper: Jian Wang, Boyan Zhu, Chak Tou Leong, Yongqi Li, Wenjie Li, "Scaling over Scaling: Exploring
    Test-Time Scaling Pareto in Large Reasoning Models", 2025, arXiv:2505.20522; the saturation
    point common to parallel and sequential scaling.
Symbols: N -> spend; p_x -> rate; F_max -> ceiling; epsilon -> gain; N* -> TTSPM.budget.
Differs: fitted by maximum likelihood on counts per question; the paper gives all solvable
    questions one rate, so `budget_of_law` gives N* also for rates that differ.
Checked: tests/papers/test_ttspm.py: fitted on 8 attempts or fewer per question, N* is within 25 %
    of that seen at 128, simulated parallel and sequential; on recorded GPT-4 Game of 24 (100
    attempts) only with rates that differ.
Seed: 77
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit, xlog1py, xlogy

from bursar.errors import BadInput
from bursar.value.base import Floats, check_counts
from bursar.value.difficulty import BetaDifficulty
from bursar.value.saturation import Saturation

_MOST = 1 << 30  # where the search for a budget stops


@dataclass(frozen=True)
class TTSPM:
    """F(N) = ceiling (1 - (1 - rate)^N); `rate` is p_sample (parallel) or p_rethink."""

    ceiling: float
    rate: float

    @property
    def curve(self) -> Saturation:
        """F as a value curve."""
        return Saturation(self.ceiling, self.rate)

    def budget(self, gain: float) -> int:
        """N* = ceil(ln(epsilon / (F_max p)) / ln(1 - p)): the least N after which one more
        sample or round buys at most `gain`.
        """
        _check_gain(gain)
        first = self.ceiling * self.rate
        if first <= gain:
            return 0
        return int(np.ceil(np.log(gain / first) / np.log1p(-self.rate)))

    @classmethod
    def fit_parallel(cls, successes: ArrayLike, trials: ArrayLike) -> Self:
        """From each question's right samples of those drawn, (questions,)."""
        right, tried = check_counts(successes, trials)
        if not tried.sum() > 0:
            raise BadInput("no question has a trial: sample each a few times first")

        def loss(free: Floats) -> float:
            ceiling, rate = expit(free)
            outcomes = xlogy(right, rate) + xlog1py(tried - right, -rate)
            missed = np.log(ceiling * np.exp(outcomes) + 1 - ceiling)
            return -float(np.where(right > 0, np.log(ceiling) + outcomes, missed).sum())

        found = minimize(loss, [0.0, -1.0], method="L-BFGS-B", bounds=[(-12, 12)] * 2).x
        return cls(float(expit(found[0])), float(expit(found[1])))

    @classmethod
    def fit_sequential(cls, rounds: ArrayLike, solved: ArrayLike) -> Self:
        """From the rounds each question took until solved, or until it was given up; (questions,).

        An absorbing chain that succeeds at round t is t trials with one success at the end.
        """
        return cls.fit_parallel(np.asarray(solved, dtype=bool), rounds)


def budget_of_law(law: BetaDifficulty, gain: float) -> int:
    """N* when success rates differ: the least N with F(N + 1) - F(N) <= `gain` under `law`."""
    _check_gain(gain)

    def buys(n: int) -> float:
        # P(the first success is sample n + 1), which falls with n
        return float(law.success_next(0, n) * (1 - law.success_within(n)))

    high = 1
    while buys(high) > gain and high < _MOST:
        high *= 2
    low = 0
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if buys(middle) > gain else (low, middle)
    return low


def _check_gain(gain: float) -> None:
    if not gain > 0:
        raise BadInput(f"gain must be above 0, got {gain}: at 0 no budget is enough")
