"""Cascade: a cheap answer first, and a dearer one where the first does not look right.

Paper: Lingjiao Chen, Matei Zaharia, James Zou, "FrugalGPT: How to Use Large Language Models While
  Reducing Cost and Improving Performance", 2023, arXiv:2305.05176; LLM cascade. With an
  estimator that reads the question: Jasper Dekoninck et al., "A Unified Approach to Routing and
  Cascading for LLMs", 2024, arXiv:2410.10347; cascade routing.
Symbols: g(q, a) -> sign; tau_i -> follows from price.
Differs: thresholds are not searched: an answer's sign is turned into P(each way right) by a
  logistic regression, and the next way is bought where it adds more than its price; a first way is
  worth its own value and what going on after it adds, one step ahead.
Checked: tests/papers/test_routing.py: with a telling sign it beats a random choice and every fixed
  way at equal mean cost; with shuffled signs it does not.
Seed: 69
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from bursar.reason.route.base import STOP, Estimator, net_value
from bursar.value.base import Floats, Ints
from bursar.value.outcomes import Outcomes

RIDGE = 2.0
"""Force of the prior belief (an unchanged estimate) on a regression, in questions."""
PARTS = 4
"""The past is cut in so many parts: each is estimated by what was learned from the others."""


@dataclass(frozen=True, slots=True)
class Cascade:
    """Goes on while the best other way adds more than it costs. `estimator`: before any answer."""

    estimator: Estimator
    weight: Floats = field(default_factory=lambda: np.zeros((0, 0, 3)))
    """(way bought, way asked about, [intercept, belief, sign]) of P(right)'s logit."""
    after: Floats = field(default_factory=lambda: np.zeros((0, 0, 0)))
    """(ways bought, known questions, ways): beliefs once that way's sign is seen."""

    def fit(self, seen: Outcomes) -> Cascade:
        belief = _held_out(self.estimator, seen)
        ways = range(len(seen.ways))
        weight = np.array([
            [_regress(belief[:, j], seen.sign[:, i], seen.right[:, j]) for j in ways] for i in ways
        ])  # fmt: skip
        after = np.array([_revised(weight[i], belief, seen.sign[:, i]) for i in ways])
        return Cascade(self.estimator.fit(seen), weight, after)

    def estimate(self, prompts: Sequence[str]) -> Floats:
        return self.estimator.estimate(prompts)

    def next_way(
        self, belief: Floats, cost: Floats, asked: Ints, sign: Floats, price: float
    ) -> Ints:
        """The best opening where nothing was bought, else the best way on, or `STOP`."""
        way = np.full(len(belief), STOP)
        fresh = asked == STOP
        if fresh.any():
            opening = belief[fresh] + self._worth_of_going_on(cost[fresh], price)
            way[fresh] = np.argmax(net_value(opening, cost[fresh], price), axis=1)
        for i in np.unique(asked[~fresh]):
            rows = np.flatnonzero(asked == i)
            now = _revised(self.weight[i], belief[rows], sign[rows])
            gain = net_value(now, cost[rows], price) - now[:, [i]]
            best = np.argmax(gain, axis=1)
            way[rows] = np.where(gain[np.arange(len(rows)), best] > 0, best, STOP)
        return way

    def _worth_of_going_on(self, cost: Floats, price: float) -> Floats:
        """(ways,) what the choice to go on adds to each opening, at these questions' mean cost."""
        if np.all(np.isinf(cost)):
            return np.zeros(cost.shape[1])
        usual = np.mean(cost, axis=0)
        worth = np.zeros(cost.shape[1])
        for i, now in enumerate(self.after):
            gain = net_value(now, np.broadcast_to(usual, now.shape), price) - now[:, [i]]
            gain[:, i] = 0.0
            worth[i] = gain.max(axis=1).mean()
        return worth


def _held_out(estimator: Estimator, seen: Outcomes) -> Floats:
    """(questions, ways) beliefs about known questions, from estimators that did not see them."""
    part = np.arange(len(seen.prompts)) % PARTS
    belief = np.zeros_like(seen.right)
    for k in range(PARTS):
        mine = np.flatnonzero(part == k)
        others = estimator.fit(seen.rows(np.flatnonzero(part != k)))
        belief[mine] = others.estimate([seen.prompts[i] for i in mine])
    return belief


def _columns(belief: Floats, sign: Floats) -> Floats:
    """(questions, 3): 1, logit of the belief, sign; an unknown sign says nothing."""
    shown = np.where(np.isnan(sign), 0.0, sign)
    return np.column_stack([np.ones(len(belief)), logit(np.clip(belief, 0.01, 0.99)), shown])


def _regress(belief: Floats, sign: Floats, right: Floats) -> Floats:
    """(3,) penalised maximum likelihood of right on (1, logit belief, sign)."""
    x = _columns(belief, sign)
    prior = np.array([0.0, 1.0, 0.0])

    def loss(w: Floats) -> tuple[float, Floats]:
        z = x @ w
        fall = float((np.logaddexp(0, z) - right * z).sum() + RIDGE * ((w - prior) ** 2).sum() / 2)
        return fall, x.T @ (expit(z) - right) + RIDGE * (w - prior)

    return np.asarray(minimize(loss, prior, jac=True, method="L-BFGS-B").x)


def _revised(weight: Floats, belief: Floats, sign: Floats) -> Floats:
    """(questions, ways) P(right) given the sign; `weight` (ways, 3) is that of the way bought."""
    columns = [_columns(belief[:, j], sign) @ w for j, w in enumerate(weight)]
    revised: Floats = expit(np.column_stack(columns))
    return revised
