"""Trees and rules on small made-up distributions: whatever is drafted, the target's law comes out.

Also the controls: a rule that does not fit its draws is found out, and keeping without replacement
keeps more.
"""

from collections import Counter
from functools import cache

import numpy as np
import pytest
from scipy.stats import chisquare

from bursar.backends.speculative import IndependentTree, RsdC, RsdS, Shape
from bursar.backends.speculative.backend import read_shape
from bursar.backends.speculative.tree import DraftTree
from bursar.backends.speculative.verify import (
    Rule,
    draw,
    k_sequential,
    one_by_one,
    without_replacement,
)
from bursar.errors import BadInput

VOCAB, TREES = 5, 3000


@cache
def law(model: int) -> np.ndarray:
    """(vocab, vocab): probabilities of the next token after each."""
    return np.random.default_rng(model).dirichlet(np.full(VOCAB, 0.6), VOCAB)


P, Q = 1, 2


def said(shape: Shape, rule: Rule, rng: np.random.Generator) -> list[int]:
    """Two tokens after token 0; what a tree leaves open is drawn from the target."""
    tree = DraftTree([0])
    while tree.depth < shape.most_depth:
        for node in tree.frontier:
            tree.log_p[node] = np.log(law(P)[tree.tokens[node]])
        shape.grow(tree, rng)
    node, tokens = 0, list[int]()
    while tree.draws[node]:
        drawn = [tree.tokens[n] for n in tree.draws[node]]
        verdict = rule(tree.expected(node), law(Q)[tree.tokens[node]], drawn, rng)
        tokens.append(verdict.token)
        if verdict.place is None:
            break
        node = tree.draws[node][verdict.place]
    while len(tokens) < 2:
        tokens.append(draw(law(Q)[tokens[-1] if tokens else 0], rng))
    return tokens[:2]


def p_value(shape: Shape, rule: Rule, seed: int) -> float:
    rng = np.random.default_rng(seed)
    counts = Counter(tuple(said(shape, rule, rng)) for _ in range(TREES))
    expected = TREES * law(Q)[0][:, None] * law(Q)
    seen = np.array([[counts[a, b] for b in range(VOCAB)] for a in range(VOCAB)])
    common = expected >= 5
    rest = [[seen[~common].sum()], [expected[~common].sum()]] if (~common).any() else [[], []]
    return float(
        chisquare(np.append(seen[common], rest[0]), np.append(expected[common], rest[1])).pvalue
    )


FITTING = {
    "chain": (IndependentTree((1, 1)), one_by_one),
    "chain as RSD-C": (RsdC.constant((1, 1)), without_replacement),
    "independent": (IndependentTree((3, 2)), one_by_one),
    "independent sequences": (IndependentTree((3, 1)), one_by_one),
    "K-SEQ": (IndependentTree((3, 2)), k_sequential),
    "RSD-C": (RsdC.constant((3, 2)), without_replacement),
    "RSD-C with leaves": (RsdC(((3,), (0, 2, 1))), without_replacement),
    "RSD-S": (RsdS(3, 2), without_replacement),
    "RSD-S, all tokens": (RsdS(VOCAB, 2), without_replacement),
}


@pytest.mark.parametrize("name", FITTING)
def test_what_is_said_follows_the_target_whatever_the_tree(name):
    assert p_value(*FITTING[name], seed=3) > 1e-3


@pytest.mark.parametrize(
    ("shape", "rule"),
    [
        (RsdC.constant((3, 2)), one_by_one),
        (RsdC.constant((3, 2)), k_sequential),
        (IndependentTree((3, 2)), without_replacement),
    ],
)
def test_a_rule_that_does_not_fit_the_draws_is_found_out(shape, rule):
    assert p_value(shape, rule, seed=3) < 1e-6


def test_draws_without_replacement_are_kept_more_often_than_independent_ones():
    rng = np.random.default_rng(0)
    log_p, q = np.log(law(P)[0]), law(Q)[0]

    def kept(shape, rule):
        count = 0
        for _ in range(2000):
            tree = DraftTree([0])
            tree.log_p[0] = log_p
            shape.grow(tree, rng)
            drawn = [tree.tokens[n] for n in tree.draws[0]]
            count += rule(log_p, q, drawn, rng).place is not None
        return count / 2000

    independent = max(kept(IndependentTree((3,)), rule) for rule in (one_by_one, k_sequential))
    assert kept(RsdC.constant((3,)), without_replacement) > independent + 0.05
    assert kept(RsdC.constant((VOCAB,)), without_replacement) == 1.0  # every token is there


def test_one_draw_is_kept_as_often_as_the_distributions_overlap():
    rng = np.random.default_rng(0)
    p, q = law(P)[0], law(Q)[0]
    kept = [one_by_one(np.log(p), q, [draw(p, rng)], rng).place == 0 for _ in range(4000)]
    assert np.mean(kept) == pytest.approx(np.minimum(p, q).sum(), abs=0.03)


def test_a_nearly_sure_draft_does_not_break_the_second_draw():
    log_p = np.array([0.0, -900.0, -901.0])  # what is left after token 0 is 0 as a plain number
    verdict = without_replacement(log_p, np.array([0.0, 1.0, 0.0]), [0, 1], np.random.default_rng())
    assert verdict == (1, 1)


def test_stochastic_beams_keep_the_parents_perturbed_score_and_draw_no_path_twice():
    tree, shape, rng = DraftTree([0]), RsdS(4, 3), np.random.default_rng(0)
    while tree.depth < shape.depth:
        for node in tree.frontier:
            tree.log_p[node] = np.log(law(P)[tree.tokens[node]])
        shape.grow(tree, rng)
    for node, children in enumerate(tree.draws):
        scores = [tree.scores[child][1] for child in children]
        assert scores == sorted(scores, reverse=True)
        if scores:
            assert scores[0] == pytest.approx(tree.scores[node][1])
        assert len({tree.tokens[child] for child in children}) == len(children)
    assert len(tree.tokens) == 1 + shape.most_nodes


@pytest.mark.parametrize(
    ("text", "nodes", "depth"),
    [("chain:4", 4, 4), ("iid:3,1", 6, 2), ("rsd-c:3,2", 9, 2), ("rsd-s:2x4", 8, 4)],
)
def test_shapes_are_read_from_text(text, nodes, depth):
    shape = read_shape(text)
    assert (shape.most_nodes, shape.most_depth) == (nodes, depth)


@pytest.mark.parametrize("text", ["", "chain", "chain:0", "rsd-s:3", "rsd-c:2,x", "tree:2"])
def test_what_is_no_shape_is_refused_with_the_ways_to_write_one(text):
    with pytest.raises(BadInput, match="rsd-s:2x4"):
        read_shape(text)


@pytest.mark.parametrize("text", ["chain:129", "rsd-c:200", "rsd-c:9999,9999", "iid:64,1,1"])
def test_more_candidates_than_there_is_use_for_are_refused(text):
    with pytest.raises(BadInput, match="128 candidates"):
        read_shape(text)
