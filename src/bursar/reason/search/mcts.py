"""Monte Carlo tree search over steps: the upper confidence bound chooses, a judge gives the value.

Paper: Kocsis and Szepesvari, "Bandit based Monte-Carlo Planning", 2006 (UCT); Hao et al.,
  "Reasoning with Language Model is Planning with World Model", 2023, arXiv:2305.14992, section 3.3
  (the same over a language model's steps).
Symbols: c or w -> explore; N(s), Q -> visits, mean value; d actions -> branch.
Differs: a leaf's value is its judge's score, not a rollout's (with `judges.Lookahead` it is); a
  text that has ended is visited once. `most` expansions.
Checked: tests/papers/test_step_search.py: beats best-of-N at equal tokens on simulated trees,
  with random scores it does not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bursar.reason.base import Pick
from bursar.reason.search.tree import Growth, Moves, Node, weighted


@dataclass(slots=True, eq=False)
class _Place:
    """A node's statistics."""

    node: Node
    above: "_Place | None"
    below: list["_Place"] = field(default_factory=list)
    visits: int = 0
    total: float = 0.0
    spent: bool = False
    """Nothing below is left to look at."""

    @property
    def mean(self) -> float:
        return self.total / max(1, self.visits)


@dataclass(frozen=True, slots=True)
class Mcts:
    """`most` expansions, `branch` children each; `explore` weighs what was seldom visited."""

    most: int
    branch: int = 3
    explore: float = 0.1

    def grow(self, root: Node, rng: np.random.Generator) -> Growth:
        top = _Place(root, None)
        open_ = {root}
        for _ in range(self.most):
            place = self._select(top)
            if place is None:
                return
            open_.discard(place.node)
            children = yield Moves([(place.node, self.branch)], list(open_))
            for child in children:
                below = _Place(child, place, spent=child.ended)
                place.below.append(below)
                _back_up(below, child.value)
                if not child.ended:
                    open_.add(child)
            if not children:
                place.spent = True

    def pick(self, ended: Sequence[Node]) -> Pick:
        return weighted(ended)

    def _select(self, top: _Place) -> _Place | None:
        """The open leaf that the bound leads to; None when everything has ended."""
        place = top
        while place.below:
            going = [below for below in place.below if not below.spent]
            if not going:
                place.spent = True
                if place.above is None:
                    return None
                place = place.above
                continue
            log = math.log(max(2, place.visits))
            place = max(going, key=lambda p: p.mean + self.explore * math.sqrt(log / p.visits))
        return None if place.spent else place


def _back_up(place: _Place, value: float) -> None:
    now: _Place | None = place
    while now is not None:
        now.visits += 1
        now.total += value
        now = now.above
