"""REBASE: divides the next steps over the open ones in proportion to a softmax of their rewards.

Paper: Wu et al., "Inference Scaling Laws: An Empirical Analysis of Compute-Optimal Inference for
  Problem-Solving with Language Models", 2024, arXiv:2408.00724; section 3, "reward balanced
  search".
Symbols: N -> width; T_b -> temperature; R -> score; W_i -> share.
Differs: shares are rounded up in the order of the rewards until the width is used, as the authors
  of ETS restate it; the width shrinks by what has ended.
Checked: tests/papers/test_step_search.py: beats best-of-N at equal tokens on simulated trees,
  also with a judge that is half noise.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bursar.reason.base import Pick
from bursar.reason.search.tree import Growth, Moves, Node, live, weighted


@dataclass(frozen=True, slots=True)
class Rebase:
    """`width` solutions in all."""

    width: int
    temperature: float = 0.2

    def grow(self, root: Node, rng: np.random.Generator) -> Growth:
        return balanced(root, self.width, self.temperature, lambda open_, left: open_)

    def pick(self, ended: Sequence[Node]) -> Pick:
        return weighted(ended)


def balanced(
    root: Node,
    width: int,
    temperature: float,
    keep: Callable[[Sequence[Node], int], Sequence[Node]],
) -> Growth:
    """Divides what is left of `width` over the open steps that `keep` (steps, width left) keeps."""
    children = yield Moves([(root, width)])
    left = width
    while True:
        open_ = live(children)
        left -= len(children) - len(open_)
        if not open_ or left < 1:
            return
        children = yield Moves(shares(keep(open_, left), left, temperature))


def shares(nodes: Sequence[Node], width: int, temperature: float) -> list[tuple[Node, int]]:
    """`width` children over `nodes`: each its softmax share of what those before it left."""
    order = sorted(nodes, key=lambda node: -node.value)
    weights = np.exp((np.array([node.value for node in order]) - order[0].value) / temperature)
    after = np.cumsum(weights[::-1])[::-1]
    out, left = [], width
    for node, weight, total in zip(order, weights, after, strict=True):
        count = min(left, math.ceil(left * weight / total - 1e-9))
        if count:
            out.append((node, count))
        left -= count
    return out
