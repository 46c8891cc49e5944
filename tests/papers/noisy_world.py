"""A simulated solver and verifier, of another make than the law that is to predict them.

A question's log-odds of success are normal. Its wrong answers have weights 1 / rank^skew. The
log-odds of a verdict `right` are those of a right or a wrong solution, shifted by the question
(some are hard to verify), and by the solution.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from bursar.value.base import Floats, Ints
from bursar.value.solve_or_verify import VERIFICATIONS, Split, right_by_weight

WRONG = 12


@dataclass(frozen=True)
class World:
    mean: float = -0.4
    spread: float = 1.6
    skew: float = 1.0
    if_right: float = 1.0
    if_wrong: float = -0.6
    by_question: float = 0.5
    by_solution: float = 0.8
    verify_cost: float = 1.0

    def draw(
        self, questions: int, solutions: int, seed: int
    ) -> tuple[Ints, Floats, np.random.Generator]:
        """Kinds of answers, 0 right, and the chance of a verdict `right` on each solution."""
        rng = np.random.default_rng(seed)
        shape = questions, solutions
        p = expit(self.mean + self.spread * rng.standard_normal(questions))
        weights = np.arange(1, WRONG + 1) ** -self.skew
        wrong = 1 + rng.choice(WRONG, size=shape, p=weights / weights.sum())
        kinds: Ints = np.where(rng.random(shape) < p[:, None], 0, wrong)
        odds = np.where(kinds == 0, self.if_right, self.if_wrong)
        odds = odds + self.by_question * rng.standard_normal((questions, 1))
        return kinds, expit(odds + self.by_solution * rng.standard_normal(shape)), rng

    def pilot(self, questions: int, solutions: int, verdicts: int, seed: int) -> tuple[
        Ints, NDArray[np.bool_], Floats
    ]:  # fmt: skip
        """What a pilot sees: answers, right or wrong, verdicts."""
        kinds, chance, rng = self.draw(questions, solutions, 1000 + seed)
        said = rng.random((*kinds.shape, verdicts)) < chance[..., None]
        return kinds, kinds == 0, said.astype(float)

    def truth(self, budgets: Floats, questions: int = 4000) -> tuple[Floats, list[Split]]:
        """By brute force, per budget: accuracy of voting, and the best split with verdicts."""
        kinds, chance, rng = self.draw(questions, int(budgets[-1]), 7)
        curves = []
        for v in VERIFICATIONS:
            wanted = np.maximum(1, (budgets / (1 + self.verify_cost * v) + 1e-9).astype(int))
            sizes, index = np.unique(wanted, return_inverse=True)
            scores = rng.binomial(v, chance) / v if v else np.ones(kinds.shape)
            share = right_by_weight(kinds, np.maximum(scores, 1e-6), sizes)[index]
            curves.append(np.where(budgets >= (1 + self.verify_cost * v) * (1 - 1e-9), share, 0.0))
        table = np.array(curves)
        best = 1 + table[1:].argmax(axis=0)
        splits = []
        for i, (budget, row) in enumerate(zip(budgets, best, strict=True)):
            v = VERIFICATIONS[row]
            splits.append(Split(int(budget / (1 + self.verify_cost * v) + 1e-9), v, table[row, i]))
        return table[0], splits
