"""Beam search: keeps the best steps of each depth, in one beam or in subtrees apart (DVTS, ToT).

Paper: Snell et al., "Scaling LLM Test-Time Compute Optimally can be More Effective than Scaling
  Model Parameters", 2024, arXiv:2408.03314, section 5.2 (beam search against a process reward);
  Beeching et al., "Scaling Test Time Compute with Open Models", 2024 (DVTS: the beam divided into
  subtrees that do not compete, so that they stay different); Yao et al., "Tree of Thoughts", 2023,
  arXiv:2305.10601, section 3, ToT-BFS (the best few states of each depth, by a value that the
  model gives them: here `judges.Lookahead`).
Symbols: N -> width; M -> branch; b of ToT -> width / branch, its k -> branch.
Differs: what ended keeps its place no longer: its share of the width goes to those still open.
Checked: tests/papers/test_step_search.py: beats best-of-N at equal tokens on simulated trees;
  subtrees apart keep more approaches; with random scores it is worse.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bursar.reason.base import Pick
from bursar.reason.search.tree import Growth, Moves, Node, live, weighted


@dataclass(frozen=True, slots=True)
class Beam:
    """Keeps the best width / branch steps of each depth; each of them gets `branch` children.

    `apart`: that many equal subtrees, each with its own part of the beam. As many as there are
    places (None) is DVTS, where each subtree follows its best step.
    """

    width: int
    branch: int = 4
    apart: int | None = 1

    def grow(self, root: Node, rng: np.random.Generator) -> Growth:
        branch = min(self.branch, self.width)
        places = self.width // branch
        subtrees = places if self.apart is None else min(self.apart, places)
        first = yield Moves([(root, self.width)])
        beams = [live(first[i::subtrees]) for i in range(subtrees)]
        while any(beams):
            kept = [_top(beam, max(1, places // subtrees)) for beam in beams]
            children = yield Moves([(node, branch) for beam in kept for node in beam])
            beams = [live(part) for part in _split(children, [len(k) * branch for k in kept])]

    def pick(self, ended: Sequence[Node]) -> Pick:
        return weighted(ended)


def _top(nodes: Sequence[Node], count: int) -> list[Node]:
    return sorted(nodes, key=lambda node: -node.value)[:count]


def _split(nodes: Sequence[Node], sizes: Sequence[int]) -> list[Sequence[Node]]:
    """Consecutive parts; the purse may have left the last ones short."""
    ends = np.cumsum([0, *sizes])
    return [nodes[a:b] for a, b in pairwise(ends)]
