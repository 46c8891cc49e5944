"""Plan-and-Budget: a token budget over sub-questions of unequal uncertainty.

Paper: Junhong Lin, Xinyue Zeng, Jie Zhu, Song Wang, Julian Shun, Jun Wu, Dawei Zhou, "Plan and
    Budget: Effective and Efficient Test-Time Scaling on Large Language Model Reasoning", 2025,
    arXiv:2505.16122; the Bayesian budget allocation model and the decay schedules.
Symbols: U = c / b^beta + aleatoric -> scale, exponent, floor; b_ij -> tokens; B_i -> budget;
    w_ij -> weights; d_ij -> DECAYS; p, gamma -> power and base.
Differs: sub-questions share the budget by bisection on its price, so exponents may differ; rounding
    is by largest remainder; on the built-in model tokens buy whole attempts, at least one each.
Checked: tests/papers/test_plan_and_budget.py: a higher E3 than a uniform split and an unplanned run
    on known uncertainty curves, within 5 % of exhaustive search; on chains of 16 operations a
    higher E3 than equal attempts for all parts at equal tokens.
Seed: 11
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from bursar.errors import BadInput, Infeasible
from bursar.reason.split.base import Part

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DECAYS: dict[str, Callable[[Floats], Floats]] = {
    "constant": lambda done: np.ones_like(done),
    "linear": lambda done: 1 - done,
    "polynomial": lambda done: (1 - done) ** 2,
    "exponential": lambda done: 0.9 ** (done * len(done)),
    "cosine": lambda done: 0.6 + 0.5 * np.cos(np.pi * np.arange(len(done)) / max(1, len(done) - 1)),
}
"""Weight of each place in the order, from the share of sub-questions before it: early ones, on
which the others rest, get more. The cosine has a foot of 0.1, so that the last gets something."""


def scheduled(weights: ArrayLike, budget: int, decay: str = "constant") -> Ints:
    """Whole tokens in proportion to weight x decay; sums to `budget`.

    `weights` (sub-questions,) are the estimated complexities, >= 0 with a positive sum.
    """
    if decay not in DECAYS:
        raise BadInput(f"decay {decay!r} is not known; use one of {', '.join(DECAYS)}")
    weight = np.asarray(weights, dtype=float)
    if weight.ndim != 1 or not len(weight) or not np.all(weight >= 0) or not weight.sum() > 0:
        raise BadInput(f"weights {weight} must be one row, zero or more, and not all zero")
    if budget < 0:
        raise BadInput(f"the budget is {budget}: it must be zero or more")
    share = weight * DECAYS[decay](np.arange(len(weight)) / len(weight))
    return _whole(budget * share / share.sum(), budget)


@dataclass(frozen=True, slots=True, eq=False)
class SubQuestions:
    """Sub-questions, each wrong with chance min(1, floor + scale / tokens^exponent).

    `scale`, `exponent`, `floor`: (sub-questions,) what thinking can remove at one token, how fast
    it does, and what it never removes.
    """

    scale: Floats
    exponent: Floats
    floor: Floats

    def __post_init__(self) -> None:
        if not (np.all(self.scale > 0) and np.all(self.exponent > 0) and np.all(self.floor >= 0)):
            raise BadInput("scale and exponent must be above 0 and floor zero or more")

    def uncertainty(self, tokens: ArrayLike) -> Floats:
        """Chance that each is wrong after `tokens` (..., sub-questions)."""
        spent = np.maximum(np.asarray(tokens, dtype=float), 1e-9)
        wrong: Floats = np.minimum(1.0, self.floor + self.scale * spent**-self.exponent)
        return wrong

    def p_right(self, tokens: ArrayLike) -> Floats:
        """Chance that all are right: (...,)."""
        right: Floats = np.prod(1 - self.uncertainty(tokens), axis=-1)
        return right

    def split(self, budget: int, least: ArrayLike = 1.0) -> tuple[Ints, float]:
        """(tokens per sub-question, price) with the least total uncertainty; tokens sum to budget.

        At the price, uncertainty removed by one more token, each gets the tokens where its own
        removal has fallen to it: b = (c beta / price)^(1 / (beta + 1)), but at least `least` > 0.
        Raises `Infeasible` when `least` alone passes the budget.
        """
        floor = np.broadcast_to(np.asarray(least, dtype=float), self.scale.shape)
        if not np.all(floor > 0):
            raise BadInput(f"least is {floor}: every sub-question needs more than zero tokens")
        if floor.sum() > budget:
            raise Infeasible(
                f"{len(floor)} sub-questions need {floor.sum():g} tokens and the budget is "
                f"{budget}: {floor.sum() - budget:g} too little"
            )

        def tokens_at(log_price: float) -> Floats:
            bought = (self.scale * self.exponent / math.exp(log_price)) ** (1 / (1 + self.exponent))
            amounts: Floats = np.maximum(bought, floor)
            return amounts

        # at the ends nobody gets more than `least`, and one alone gets more than the budget
        slopes = np.log(self.scale * self.exponent)
        high = float(np.max(slopes - (1 + self.exponent) * np.log(floor)))
        low = float(np.min(slopes - (1 + self.exponent) * math.log(budget + 1)))
        price = brentq(lambda p: float(tokens_at(p).sum()) - budget, low, high, xtol=1e-10)
        return _whole(tokens_at(price), budget), math.exp(price)


@dataclass(frozen=True, slots=True)
class PlanAndBudget:
    """About `tokens` a question, split over its parts, as whole attempts of each part.

    A part's uncertainty at one attempt is its difficulty, and falls with attempts^-`exponent`.
    With `decay` named, the paper's schedule splits what one attempt each leaves, with difficulty x
    tokens as weights.
    """

    tokens: int
    exponent: float = 0.85
    decay: str | None = None

    def attempts(self, question_id: str, parts: Sequence[Part]) -> list[int]:
        """See `Effort.attempts`. A question too large for its tokens gets one attempt a part."""
        if not parts:
            return []
        cost = np.array([part.tokens for part in parts])
        doubt = np.array([max(part.difficulty, 1e-4) for part in parts])
        spare = self.tokens - math.ceil(cost.sum())
        if spare < 0:
            bought = cost
        elif self.decay is not None:
            bought = cost + scheduled(doubt * cost, spare, self.decay).astype(float)
        else:
            exponent = np.full(len(parts), self.exponent)
            curves = SubQuestions(doubt * cost**self.exponent, exponent, np.zeros(len(parts)))
            bought = curves.split(self.tokens, cost)[0].astype(float)
        return [round(number) for number in bought / cost]


def _whole(amounts: Floats, total: int) -> Ints:
    """Whole numbers next to `amounts` that sum to `total`, the largest remainders rounded up."""
    floors = np.floor(amounts + 1e-9).astype(np.int64)
    order = np.argsort(floors - amounts, kind="stable")
    floors[order[: total - int(floors.sum())]] += 1
    return floors
