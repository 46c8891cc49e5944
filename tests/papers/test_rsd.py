"""RSD (arXiv:2402.14160): without replacement, more tokens per target call from as many candidates.

At equal numbers of candidates the independent trees draw some twice, which cost them nothing here;
so they are also held against RSD with fewer candidates than they had. The gain is one of width:
with the built-in pair, whose draft is kept 96 times of 100, depth is worth more, and a plain chain
is ahead of every tree.
"""

from functools import cache

import pytest
from tiny_pair import judged_per_call, p_value, requests, speak, tokens_per_call

from bursar.backends import Request
from bursar.backends.speculative import IndependentTree, RsdC, RsdS, Shape, Spoken
from bursar.backends.speculative.verify import Rule, k_sequential, one_by_one
from bursar.workload.tasks import TASKS

SEEDS = range(3)
WEAK = 0.4
CHAINS = ((1,) * 6, (1,) * 12)
TREES = {6: ((2, 2), (3, 1), (2, 1, 1)), 12: ((3, 1, 1, 1), (3, 3), (4, 1, 1))}
"""Candidates in a tree -> branching."""


@cache
def said(shape: Shape, rule: Rule | None, temperature: float, noise: float) -> list[Spoken]:
    asked = [r for seed in SEEDS for r in requests(3, seed, max_tokens=24, temperature=temperature)]
    return speak(asked, shape, rule=rule, noise=noise)


def independent(branching: tuple[int, ...], temperature: float, noise: float) -> float:
    """By the better of the two rules."""
    tree = IndependentTree(branching)
    return max(
        tokens_per_call(said(tree, rule, temperature, noise)) for rule in (None, k_sequential)
    )


def beams(branching: tuple[int, ...]) -> RsdS:
    """With as many candidates as the tree, at its depth."""
    return RsdS(IndependentTree(branching).most_nodes // len(branching), len(branching))


@pytest.mark.parametrize("shape", [RsdC.constant((3, 2)), RsdS(4, 2), RsdC(((3,), (2, 0, 1)))])
def test_texts_pass_a_chi_square_test_against_the_targets_exact_probabilities(
    shape: Shape,
) -> None:
    assert p_value(continued(shape)) > 1e-3


def test_the_rule_for_independent_draws_would_not_pass_it() -> None:
    assert p_value(continued(RsdS(4, 2), one_by_one)) < 1e-9


def continued(shape: Shape, rule: Rule | None = None) -> list[Spoken]:
    (question,) = TASKS["sudoku4"].generate(1, seed=0)
    asked = [Request(question.prompt, 3, question.id, sample=i) for i in range(400)]
    return speak(asked, shape, noise=WEAK, rule=rule)


@pytest.mark.parametrize("temperature", [0.3, 1.0])
@pytest.mark.parametrize("budget", TREES)
def test_more_tokens_per_call_than_the_best_independent_tree_or_chain_of_as_many_candidates(
    budget: int, temperature: float
) -> None:
    best = max(
        independent(branching, temperature, WEAK) for branching in (*TREES[budget], (1,) * budget)
    )
    for shapes in (map(RsdC.constant, TREES[budget]), map(beams, TREES[budget])):
        assert max(tokens_per_call(said(s, None, temperature, WEAK)) for s in shapes) > best + 0.02


def test_also_than_independent_trees_that_had_more_candidates_judged() -> None:
    small, large = said(RsdS(2, 3), None, 1.0, WEAK), said(IndependentTree((3, 3)), None, 1.0, WEAK)
    assert judged_per_call(small) < judged_per_call(large)
    assert tokens_per_call(small) > independent((3, 3), 1.0, WEAK)


def test_where_the_draft_is_nearly_always_kept_a_chain_is_better_than_any_tree() -> None:
    chain = independent((1,) * 6, 1.0, 0.0)
    trees = [tokens_per_call(said(make(b), None, 1.0, 0.0))
             for b in TREES[6] for make in (RsdC.constant, beams)]  # fmt: skip
    assert chain > max(trees) + 0.5
