"""RSD (arXiv:2402.14160): without replacement, more tokens per target call from as many candidates.

Independent trees draw some candidates twice, which costs them nothing here; so they are also held
against RSD with fewer candidates than they had. What is gained is width: with the built-in pair,
whose draft is kept 98 times of 100, depth is worth more, and a plain chain is ahead of every tree.
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
TREES = {6: ((2, 2), (2, 1, 1)), 12: ((3, 3), (3, 1, 1, 1))}
"""Candidates in a tree -> branching."""


@cache
def said(shape: Shape, noise: float = WEAK, rule: Rule | None = None) -> list[Spoken]:
    asked = [r for seed in SEEDS for r in requests(2, seed, max_tokens=24)]
    return speak(asked, shape, rule=rule, noise=noise)


def independent(branching: tuple[int, ...]) -> float:
    """Tokens per call with the better of the two rules."""
    tree = IndependentTree(branching)
    rules = (None, k_sequential) if max(branching) > 1 else (None,)
    return max(tokens_per_call(said(tree, rule=rule)) for rule in rules)


def beams(branching: tuple[int, ...]) -> RsdS:
    """With as many candidates as the tree, at its depth."""
    return RsdS(IndependentTree(branching).most_nodes // len(branching), len(branching))


@pytest.mark.parametrize("shape", [RsdC(((3,), (2, 0, 1), (1, 0, 1))), RsdS(3, 3)])
def test_texts_pass_a_chi_square_test_against_the_targets_exact_probabilities(
    shape: Shape,
) -> None:
    assert p_value(continued(shape)) > 1e-3


def test_the_rule_for_independent_draws_would_not_pass_it() -> None:
    assert p_value(continued(RsdS(3, 3), one_by_one)) < 1e-9


def continued(shape: Shape, rule: Rule | None = None) -> list[Spoken]:
    (question,) = TASKS["sudoku4"].generate(1, seed=0)
    asked = [Request(question.prompt, 4, question.id, sample=i) for i in range(400)]
    return speak(asked, shape, noise=WEAK, rule=rule)


@pytest.mark.parametrize("budget", TREES)
def test_more_tokens_per_call_than_the_best_independent_tree_or_chain_of_as_many_candidates(
    budget: int,
) -> None:
    best = max(independent(branching) for branching in (*TREES[budget], (1,) * budget))
    for make in (RsdC.constant, beams):
        assert max(tokens_per_call(said(make(b))) for b in TREES[budget]) > best + 0.02


def test_also_than_an_independent_tree_that_had_more_candidates_judged() -> None:
    few, many = RsdS(2, 3), (3, 1, 1, 1)
    assert judged_per_call(said(few)) < judged_per_call(said(IndependentTree(many)))
    assert tokens_per_call(said(few)) > independent(many)


def test_where_the_draft_is_nearly_always_kept_a_chain_is_better_than_any_tree() -> None:
    chain = tokens_per_call(said(IndependentTree((1,) * 6), noise=0.0))
    for branching in TREES[6]:
        for make in (RsdC.constant, beams):
            assert chain > tokens_per_call(said(make(branching), noise=0.0)) + 0.5
