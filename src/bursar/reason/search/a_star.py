"""A*-decoding: always goes on from the partial solution of least cost so far plus heuristic.

Paper: Chatziveroglou, "A*-Decoding: Token-Efficient Inference Scaling", 2025, arXiv:2505.13672.
Symbols: k -> branch; r(s) -> score; h(s) = 1 - r(s); g -> sum of step costs; f = g + h.
Differs: what a step costs is told in two ways by those who describe the paper, both are here:
  "worse", by how much the reward falls, and "better", by how much it rises (the least cost for
  which h is consistent). Which is better: LOG.md. The search ends with the first solution that
  would be gone on from, or at `most` expansions.
Checked: tests/papers/test_step_search.py: half of best-of-N's tokens at its accuracy; with random
  scores it has no advantage.
Seed: 49
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

import numpy as np

from bursar.reason.base import Pick
from bursar.reason.search.tree import Growth, Moves, Node, best


@dataclass(frozen=True, slots=True)
class AStar:
    """`most` expansions at most, `branch` children each."""

    most: int
    branch: int = 3
    step_cost: Literal["worse", "better"] = "worse"

    def grow(self, root: Node, rng: np.random.Generator) -> Growth:
        order, seen = count(), {root.text}
        frontier: list[tuple[float, int, float, Node]] = [(0.0, next(order), 0.0, root)]
        for _ in range(self.most):
            if not frontier:
                return
            _, _, cost, node = heapq.heappop(frontier)
            if node.ended:
                return
            children = yield Moves(
                [(node, self.branch)], [other for *_, other in frontier if not other.ended]
            )
            for child in children:
                if child.text in seen or (child.ended and child.answer is None):
                    continue  # the same state again, or a dead end
                seen.add(child.text)
                far = cost + self._cost(node, child)
                # of equals the deeper first: the order falls with time
                heapq.heappush(frontier, (far + 1 - child.value, -next(order), far, child))

    def pick(self, ended: Sequence[Node]) -> Pick:
        return best(ended)

    def _cost(self, node: Node, child: Node) -> float:
        if node.score is None:
            return 0.0
        change = child.value - node.value
        return max(0.0, -change if self.step_cost == "worse" else change)
