"""Claims of the step searches, on simulated trees at equal numbers of generated tokens.

Best-of-N is `Beam` with one child per step: the same judge, asked as often.
"""

from functools import cache

import numpy as np
import pytest
from step_trees import Outcome, Simulated, outcome

from bursar.reason.search import AStar, Beam, Mcts, Particles, Rebase
from bursar.reason.search.tree import Node, live

SEEDS = range(3)


@cache
def mean(search, **world) -> Outcome:
    """Over seeds and questions, which all searches share."""
    rows = [outcome(lambda: search, seed, 60, **world) for seed in SEEDS]
    fields = ("accuracy", "tokens", "judged", "kept")
    return Outcome(*(float(np.mean([getattr(r, f) for r in rows])) for f in fields))


BEST_OF_16 = Beam(16, branch=1)


@pytest.mark.parametrize(
    "search", [Beam(16), Beam(16, apart=None), Rebase(16), Particles(16)], ids=str
)
def test_searching_beats_best_of_n_at_equal_tokens_and_random_scores_do_not(search) -> None:
    ours, theirs = mean(search), mean(BEST_OF_16)
    assert ours.tokens == theirs.tokens
    assert ours.accuracy > theirs.accuracy + 0.2
    assert mean(search, knows=False).accuracy < mean(BEST_OF_16, knows=False).accuracy


def test_tree_search_by_confidence_bounds_beats_best_of_n_at_equal_tokens() -> None:
    ours, theirs = mean(Mcts(40)), mean(Beam(20, branch=1))
    assert ours.tokens == theirs.tokens
    assert ours.accuracy > theirs.accuracy + 0.05
    assert mean(Mcts(40), knows=False).accuracy < mean(Beam(20, branch=1), knows=False).accuracy


@pytest.mark.parametrize("step_cost", ["worse", "better"])
def test_a_star_needs_less_than_half_of_best_of_ns_tokens_and_scores(step_cost) -> None:
    ours, theirs = mean(AStar(60, 4, step_cost)), mean(Beam(32, branch=1))
    assert ours.accuracy >= theirs.accuracy
    assert ours.tokens <= 0.5 * theirs.tokens
    assert ours.judged < theirs.judged


def test_a_stars_advantage_goes_with_the_scores() -> None:
    cheap = mean(AStar(60, 4), knows=False)
    same_tokens = mean(Beam(round(cheap.tokens / 60), branch=1), knows=False)
    assert cheap.accuracy < same_tokens.accuracy


def test_reading_the_step_cost_as_a_falling_reward_takes_fewer_tokens() -> None:
    worse, better = mean(AStar(60, 4, "worse")), mean(AStar(60, 4, "better"))
    assert worse.tokens < better.tokens
    assert abs(worse.accuracy - better.accuracy) < 0.03


def test_dividing_by_reward_still_pays_with_a_judge_that_is_half_noise() -> None:
    noisy = {"own": 4.0}
    assert mean(Particles(16), **noisy).accuracy > mean(BEST_OF_16, **noisy).accuracy
    assert mean(Rebase(16), **noisy).accuracy > mean(BEST_OF_16, **noisy).accuracy


def test_separate_subtrees_keep_more_approaches_than_one_beam() -> None:
    assert approaches(Beam(16, apart=None)) > approaches(Beam(16)) + 0.5


def approaches(search) -> float:
    """How many approaches the last open steps are of, over questions."""
    left = []
    for seed in range(100):
        world = Simulated(seed, shared=3.0)
        growth = search.grow(Node(None, "", 20, 0.0), world.rng)
        moves = next(growth)
        while children := world.children(moves):
            if not (open_ := live(children)):
                break
            kept = {world.approach[node] for node in open_}
            moves = growth.send(children)
        left.append(len(kept))
    return float(np.mean(left))


def test_a_star_goes_on_from_a_text_once_however_often_it_was_said() -> None:
    root = Node(None, "", 20, 0.0)
    growth = AStar(20, 3).grow(root, np.random.default_rng(0))
    moves, gone_on_from = next(growth), []
    for depth in range(1, 6):
        ((parent, count),) = moves.grow
        gone_on_from.append(parent.text)
        # the same step three times, and each step is liked less than the one before
        same = [Node(parent, f"{parent.text}step;", 10, 0.0) for _ in range(count)]
        for child in same:
            child.score = 1 - 0.1 * depth
        moves = growth.send(same)
    assert len(set(gone_on_from)) == len(gone_on_from)
