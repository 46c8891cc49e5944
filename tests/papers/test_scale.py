"""Claim: thinking hard about the hard sub-problems only costs a third less and loses nothing.

Chains of 16 operations split into products, which tiny-0.3m gets right, and sums, of which it gets
a tenth to a fifth wrong. Uniform spending is the same splitting with equal attempts for all parts.
"""

import numpy as np
from long_chains import run_long
from tiny_arena import SEEDS, accuracy, tokens

from bursar.reason.solve import Solution
from bursar.reason.split import Scale, SplitAndSolve

HARD = 5


def runs(effort: Scale) -> list[Solution]:
    return [run_long(SplitAndSolve("scale", effort), count=60, seed=seed) for seed in SEEDS]


def test_within_a_point_of_all_hard_at_two_thirds_of_its_tokens() -> None:
    scale, expensive = runs(Scale(hard=HARD)), runs(Scale(rater="all_hard", hard=HARD))
    assert accuracy(scale) >= accuracy(expensive) - 0.01
    assert tokens(scale) <= 0.67 * tokens(expensive)
    assert accuracy(scale) > accuracy(runs(Scale(rater="all_easy"))) + 0.08


def test_beats_equal_attempts_for_all_parts_at_equal_tokens() -> None:
    scale = runs(Scale(hard=HARD))
    uniform = [runs(Scale(rater="all_hard", hard=k)) for k in (1, 3, HARD - 1, HARD)]
    spent, right = [tokens(u) for u in uniform], [accuracy(u) for u in uniform]
    assert accuracy(scale) > np.interp(tokens(scale), spent, right) + 0.015


def test_ratings_by_chance_lose_the_gain() -> None:
    scale, chance = runs(Scale(hard=HARD)), runs(Scale(rater="by_chance", threshold=0.4, hard=HARD))
    assert tokens(chance) >= tokens(scale)
    assert accuracy(scale) > accuracy(chance) + 0.03
