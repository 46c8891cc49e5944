"""SC-vs-GenRM: how to split a budget between solutions and verdicts, and from which budget on
verdicts are worth buying at all, predicted from a small labelled pilot.

Paper: Singhi et al., "When To Solve, When To Verify: Compute-Optimal Problem Solving and Generative
  Verification for LLM Reasoning", 2025, arXiv:2504.01005; section 3 (cost), section 5 (growth).
Symbols: S -> solutions; V -> verifications; lambda -> verify_cost; C = S (1 + lambda V) -> budget;
  a, b of S_opt ~ C^a, V_opt ~ C^b -> growth.
Differs: the paper samples a full grid of (S, V) and reads the best off it; here a law is fitted to
  a pilot and the grid is simulated from it. A question has a chance of success, wrong answers that
  agree with a chance of 1 / (1 + variety), and per answer a chance that a verdict on it is `right`.
  Votes are weighed by verdicts, which needs few of them per solution (b near 0, the paper's .39).
Checked: tests/papers/test_solve_or_verify.py: on simulated solvers and verifiers of another make,
  voting wins below and verification above a budget predicted within a factor of two.
Seed: 2
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bursar.errors import BadInput
from bursar.value.base import Floats, Ints
from bursar.value.difficulty import BetaDifficulty

VERIFICATIONS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""V that a split may have; 0 is voting."""
_WRONG_ANSWERS = 24
_LEAST = 1e-6
"""What a solution weighs that every verdict calls wrong, as in `reason.verify.genrm`."""
CLEAR_LEAD = 0.01
"""From a point of accuracy on a strategy is called better: less is the simulation's noise."""


@dataclass(frozen=True, slots=True)
class Split:
    """`solutions` with `verifications` verdicts each, and the accuracy that is expected of them."""

    solutions: int
    verifications: int
    accuracy: float


@dataclass(frozen=True)
class SolveOrVerify:
    """Budgets are per question, in costs of one solution; a verdict costs `verify_cost` of them.

    `solve` is the law of success rates, `wordless` the chance that a wrong solution states no
    answer. `if_right`, `if_wrong`: laws of the chance that a verdict on an answer is `right`.
    `questions` are simulated, for splits of up to `most` solutions.
    """

    solve: BetaDifficulty
    variety: float
    wordless: float
    if_right: BetaDifficulty
    if_wrong: BetaDifficulty
    verify_cost: float
    most: int = 256
    questions: int = 1000
    seed: int = 0

    @classmethod
    def fit(
        cls, answers: ArrayLike, right: ArrayLike, verdicts: ArrayLike, verify_cost: float
    ) -> Self:
        """From a pilot. `answers` (questions, S): a code per distinct answer of a question, -1 for
        none; `right` (questions, S): whether it is right; `verdicts` (questions, S, V) in [0, 1],
        NaN where there is none. Raises `BadInput` on other shapes and without a verdict.
        """
        codes, ok = np.asarray(answers, dtype=np.int64), np.asarray(right, dtype=bool)
        said = np.asarray(verdicts, dtype=float)
        if codes.ndim != 2 or ok.shape != codes.shape or said.shape[:2] != codes.shape:
            raise BadInput(
                "answers and right must be (questions, S) and verdicts (questions, S, V), got "
                f"{codes.shape}, {ok.shape} and {said.shape}"
            )
        if not np.any(np.isfinite(said)):
            raise BadInput("the pilot has no verdict; buy at least one per solution")
        if not verify_cost >= 0:
            raise BadInput(f"verify_cost {verify_cost}: a verdict costs 0 solutions or more")
        stated = codes >= 0
        wrong = int((~ok).sum())
        return cls(
            solve=BetaDifficulty.fit(ok.sum(axis=1), np.full(len(ok), ok.shape[1])),
            variety=_variety(codes, ok),
            wordless=float((~stated & ~ok).sum() / wrong) if wrong else 0.0,
            if_right=_trust(codes, said, stated & ok),
            if_wrong=_trust(codes, said, stated & ~ok),
            verify_cost=verify_cost,
        )

    def cost(self, solutions: float, verifications: int) -> float:
        """C = S (1 + lambda V)."""
        return solutions * (1 + self.verify_cost * verifications)

    def accuracy(self, budget: float, verifications: int) -> float:
        """Expected share of right answers when all of `budget` goes into splits with this V.

        0 where the budget covers no solution with its verdicts.
        """
        solutions = self._covered(budget, verifications)
        curve = self._table[VERIFICATIONS.index(verifications)]
        return float(np.interp(np.log(max(1.0, solutions)), self._log_solutions, curve)) * (
            solutions >= 1
        )

    def best(self, budget: float, *, verified: bool = False) -> Split:
        """The most accurate split that `budget` covers; `verified`: among those with verdicts.

        Raises `BadInput` where the budget covers no solution (with a verdict, if verified).
        """
        splits = [
            Split(int(self._covered(budget, v)), v, self.accuracy(budget, v))
            for v in VERIFICATIONS[verified:]
            if self._covered(budget, v) >= 1
        ]
        if not splits:
            least = self.cost(1, VERIFICATIONS[verified])
            raise BadInput(f"a budget of {budget:g} solutions covers nothing; give {least:g}")
        # equally good to a simulation's noise: the fewer verifications
        return max(splits, key=lambda s: (round(s.accuracy, 3), -s.verifications))

    def _covered(self, budget: float, verifications: int) -> float:
        """How many solutions with as many verdicts; a billionth more, for budgets just met."""
        return budget / self.cost(1, verifications) * (1 + 1e-9)

    def lead(self, budget: float) -> float:
        """By how much the best split with verdicts is more accurate than voting."""
        return self.best(budget, verified=True).accuracy - self.accuracy(budget, 0)

    def crossover(self) -> float | None:
        """The budget from which on verdicts beat voting; None: not within what is simulated."""
        return crossing(self.budgets, [self.lead(c) for c in self.budgets])

    def growth(self) -> tuple[float, float]:
        """Exponents of the budget in the best numbers of solutions and of verifications."""
        return growth(self.budgets, [self.best(c, verified=True) for c in self.budgets])

    @cached_property
    def budgets(self) -> Floats:
        """From one solution with one verdict to the most simulated, four to a doubling."""
        first, last = np.log2([self.cost(1, 1), self.most])
        return np.asarray(np.exp2(np.arange(first, last, 0.25)))

    @cached_property
    def _solutions(self) -> Ints:
        """The numbers of solutions at which the simulation is read."""
        grid = np.exp2(np.arange(0, np.log2(self.most) + 0.01, 0.5))
        return np.unique(np.round(grid).astype(np.int64))

    @cached_property
    def _log_solutions(self) -> Floats:
        return np.asarray(np.log(self._solutions))

    @cached_property
    def _table(self) -> Floats:
        """Accuracy (V, S) on simulated questions, the same solutions in every cell."""
        rng = np.random.default_rng(self.seed)
        shape = self.questions, self.most
        kinds = _kinds(_chances(self.solve, rng, self.questions), self.variety, shape, rng)
        trust = np.column_stack(
            [_chances(self.if_right, rng, self.questions)]
            + [_chances(self.if_wrong, rng, self.questions) for _ in range(_WRONG_ANSWERS)]
        )
        chance = np.take_along_axis(trust, kinds, axis=1)
        votes = (kinds == 0) | (rng.random(shape) >= self.wordless)
        scores = [rng.binomial(v, chance) / v if v else np.ones(shape) for v in VERIFICATIONS]
        return np.array(
            [right_by_weight(kinds, votes * np.maximum(s, _LEAST), self._solutions) for s in scores]
        )


def right_by_weight(kinds: Ints, weights: Floats, solutions: Ints) -> Floats:
    """Share of questions whose heaviest kind of answer among the first S is kind 0, for each S.

    `kinds` and `weights` are (questions, most). Equal kinds share the win; a question without
    any weight is wrong.
    """
    rows = np.arange(len(kinds))[:, None]
    tally = np.zeros((len(kinds), int(kinds.max()) + 1))
    share, before = [], 0
    for s in solutions:
        np.add.at(tally, (rows, kinds[:, before:s]), weights[:, before:s])
        before = s
        top = tally.max(axis=1)
        tied = tally >= top[:, None] - 1e-9
        share.append(np.mean(np.where(top > 0, tied[:, 0] / tied.sum(axis=1), 0.0)))
    return np.array(share)


def crossing(budgets: Floats, leads: Sequence[float]) -> float | None:
    """The first of `budgets` from which on every lead is clear; None where the last one is not."""
    behind = np.flatnonzero(np.asarray(leads) < CLEAR_LEAD)
    first = int(behind[-1]) + 1 if len(behind) else 0
    return float(budgets[first]) if first < len(budgets) else None


def growth(budgets: Floats, splits: Sequence[Split]) -> tuple[float, float]:
    """Slopes of log S and of log V over log C."""
    at = np.log(budgets)
    solutions = np.log([s.solutions for s in splits])
    verifications = np.log([s.verifications for s in splits])
    return float(np.polyfit(at, solutions, 1)[0]), float(np.polyfit(at, verifications, 1)[0])


def _kinds(p: Floats, variety: float, shape: tuple[int, int], rng: np.random.Generator) -> Ints:
    """Which answer each solution gives: 0, right, with chance p, else one of the wrong ones.

    How often a question's wrong answers come up is broken off a stick, piece by piece
    (Griffiths-Engen-McCloskey); what is left after the last piece is shared by all.
    """
    cuts = 1 - np.cumprod(1 - rng.beta(1.0, variety, (shape[0], _WRONG_ANSWERS)), axis=1)
    piece = (cuts[:, None, :] < rng.random(shape)[:, :, None]).sum(axis=2)
    piece = np.where(piece < _WRONG_ANSWERS, piece, rng.integers(_WRONG_ANSWERS, size=shape))
    kinds: Ints = np.where(rng.random(shape) < p[:, None], 0, 1 + piece)
    return kinds


def _chances(law: BetaDifficulty, rng: np.random.Generator, count: int) -> Floats:
    alive = rng.random(count) >= law.hopeless
    drawn: Floats = rng.beta(law.a, law.b, count) * alive
    return drawn


def _variety(codes: Ints, right: NDArray[np.bool_]) -> float:
    """From the chance that two wrong answers to one question are the same, over all pairs."""
    agree = pairs = 0.0
    for row, ok in zip(codes, right, strict=True):
        _, counts = np.unique(row[(row >= 0) & ~ok], return_counts=True)
        agree += float(np.sum(counts * (counts - 1)))
        pairs += float(counts.sum() * (counts.sum() - 1))
    # as if two more pairs had been seen, one of which agrees
    return (pairs + 2) / (agree + 1) - 1


def _trust(codes: Ints, verdicts: Floats, wanted: NDArray[np.bool_]) -> BetaDifficulty:
    """The law of P(verdict is `right`) over the distinct answers among the `wanted` solutions."""
    yes, asked = [], []
    for row, said, mine in zip(codes, verdicts, wanted, strict=True):
        for code in np.unique(row[mine]):
            of_it = said[mine & (row == code)]
            yes.append(np.nansum(of_it))
            asked.append(np.isfinite(of_it).sum())
    return BetaDifficulty.fit(yes, asked)
