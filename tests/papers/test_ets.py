"""Claim: at equal width ETS holds at least 1.5 times less KV than REBASE, within a point of its
accuracy; without the coverage term it is less accurate.

On simulated trees the weights are twice the authors': at width 16 a tree has few nodes, each of
them a larger share. On the built-in model the authors' do; its accuracy takes more questions than a
test has, see `benchmarks/headline.py`.
"""

import asyncio
from functools import cache

import numpy as np
from step_trees import outcome
from tiny_arena import bench, questions

from bursar.reason.search import Ets, Node, Rebase, StepSearch
from bursar.reason.search.ets import cluster
from bursar.reason.search.rebase import shares

WIDTH, SEEDS, QUESTIONS = 16, range(3), 30


@cache
def mean(search) -> tuple[float, float]:
    """(accuracy, KV tokens held, over rounds)."""
    rows = [outcome(lambda: search, seed, QUESTIONS) for seed in SEEDS]
    return float(np.mean([r.accuracy for r in rows])), float(np.mean([r.kept for r in rows]))


def test_less_kv_at_equal_width_and_accuracy() -> None:
    (ours, our_kv), (theirs, their_kv) = (
        mean(Ets(WIDTH, kv_weight=2.0, coverage=2.8)),
        mean(Rebase(WIDTH)),
    )
    assert their_kv >= 1.5 * our_kv
    assert ours >= theirs - 0.01


def test_without_coverage_it_is_less_accurate() -> None:
    with_it, _ = mean(Ets(WIDTH, kv_weight=2.0, coverage=2.8))
    without, _ = mean(Ets(WIDTH, kv_weight=2.0, coverage=0.0))
    assert without < with_it


def test_on_the_built_in_model_the_authors_weights_hold_that_much_less() -> None:
    """Steps are the model's own here, and many are said twice; the likelihood judges."""
    asked = questions("chain", ("7", "8"), 8, 0)
    held = []
    for make in (Rebase, Ets):
        search = StepSearch("search", make, width=WIDTH, passes=1)
        trees = asyncio.run(search.grow(asked, bench("tiny-0.3m")))
        held.append(np.mean([np.mean(tree.kept_steps) for tree in trees]))
    assert held[0] >= 1.5 * held[1]


def test_the_programme_finds_the_best_of_all_subsets() -> None:
    rng = np.random.default_rng(0)
    root = Node(None, "", 5, 0.0)
    inner = [Node(root, str(i), 5, 0.0) for i in range(3)]
    leaves = [
        Node(inner[i % 3], f"{i}", 5, 0.0, score=float(rng.random()), hidden=np.eye(4)[i % 4])
        for i in range(7)
    ]
    search = Ets(8, temperature=0.5, kv_weight=1.5, coverage=0.8)
    subsets = [
        [leaf for i, leaf in enumerate(leaves) if mask >> i & 1]
        for mask in range(1, 2 ** len(leaves))
    ]
    best = max(objective(search, leaves, kept) for kept in subsets)
    assert objective(search, leaves, search.keep(leaves, 8)) >= best - 1e-9


def objective(search: Ets, leaves: list[Node], kept: list[Node]) -> float:
    """The paper's: REBASE's share, minus the share of nodes kept, plus that of clusters covered."""
    width = dict(shares(leaves, search.width, search.temperature))
    clusters = dict(zip(leaves, cluster(leaves, search.cut), strict=True))
    nodes = {node for leaf in leaves for node in leaf.path()}
    held = {node for leaf in kept for node in leaf.path()}
    covered = {clusters[leaf] for leaf in kept}
    return (
        sum(width.get(leaf, 0) for leaf in kept) / search.width
        - search.kv_weight * len(held) / len(nodes)
        + search.coverage * len(covered) / len(set(clusters.values()))
    )
