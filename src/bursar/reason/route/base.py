"""What a router is: it says which way to buy an answer to each question, at a price.

A *way* is anything that can be bought for a question: a model, a model with eight votes, a search.
`Outcomes` is what is known of ways from the past, one row per question. A `Router` learns from
outcomes, and decides at a price in right answers per unit of cost, the same number that
`bursar.price` means; so every router is a whole frontier from cheapest to best, and two routers
are compared at equal cost. `play` runs one over recorded outcomes, `routed.py` over models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bursar.value.base import Floats, Ints
from bursar.value.outcomes import Outcomes

Bools = NDArray[np.bool_]
STOP = -1
"""Instead of a way: this question has its answer."""


class Estimator(Protocol):
    """Predicts, before any answer, how likely each way is to be right."""

    def fit(self, seen: Outcomes) -> Estimator:
        """Learned from outcomes; the same outcomes give the same estimator."""
        ...

    def estimate(self, prompts: Sequence[str]) -> Floats:
        """(prompts, ways) P(right)."""
        ...


class Router(Protocol):
    """Decides which way comes next. After each answer it is asked again."""

    def fit(self, seen: Outcomes) -> Router:
        """Learned from outcomes."""
        ...

    def estimate(self, prompts: Sequence[str]) -> Floats:
        """(prompts, ways): what is believed before any answer."""
        ...

    def next_way(
        self, belief: Floats, cost: Floats, asked: Ints, sign: Floats, price: float
    ) -> Ints:
        """(questions,) the way to buy now, or `STOP`.

        `belief` as returned by `estimate`; `cost` (questions, ways) is what a way is expected to
        cost, infinite where it can't be had again; `asked` (questions,) the way bought last,
        `STOP` for none; `sign` (questions,) what its answer showed; `price` in right answers per
        unit of cost.
        """
        ...


@dataclass(frozen=True, slots=True)
class Played:
    """What a router did with recorded questions: ways bought, the last one answers."""

    asked: Bools
    answer: Ints
    right: Floats
    cost: Floats

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())

    @property
    def mean_cost(self) -> float:
        return float(self.cost.mean())


def play(
    router: Router, belief: Floats, record: Outcomes, price: float, expected_cost: Floats
) -> Played:
    """Run a fitted router over recorded outcomes it has not seen.

    `belief` is its own estimate of `record.prompts`; `expected_cost` (questions, ways) is what it
    may know of costs beforehand; it pays what was recorded. No way is bought twice.
    """
    rows = np.arange(len(record.prompts))
    asked = np.zeros(record.right.shape, dtype=bool)
    last, sign = np.full(len(rows), STOP), np.full(len(rows), np.nan)
    for _ in record.ways:
        open_cost = np.where(asked, np.inf, expected_cost)
        way = router.next_way(belief, open_cost, last, sign, price)
        buys = way != STOP
        if not buys.any():
            break
        last = np.where(buys, way, last)
        asked[rows[buys], way[buys]] = True
        sign = np.where(buys, record.sign[rows, last], sign)
    return Played(
        asked, last, record.right[rows, last], np.where(asked, record.cost, 0.0).sum(axis=1)
    )


def net_value(value: Floats, cost: Floats, price: float) -> Floats:
    """Value less cost at `price`; an infinite cost is refused at any price, 0 too."""
    open_ = np.isfinite(cost)
    net: Floats = np.where(open_, value - price * np.where(open_, cost, 0.0), -np.inf)
    return net
