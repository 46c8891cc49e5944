"""A tree of draft tokens, and what draws them level by level."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


@dataclass(slots=True)
class DraftTree:
    """Node 0 is the last token of the text; the others are candidates, parents before children."""

    tokens: list[int]
    parents: list[int] = field(default_factory=lambda: [-1])
    depths: list[int] = field(default_factory=lambda: [0])
    draws: list[list[int]] = field(default_factory=lambda: [[]])
    """By node: the nodes drawn below it, in the order drawn; a token drawn twice is one node,
    named twice."""
    log_p: list[Doubles | None] = field(default_factory=lambda: [None])
    """By node: log-probabilities (vocab,) of what follows it, under the draft; None: not asked."""
    scores: list[tuple[float, float]] = field(default_factory=lambda: [(0.0, 0.0)])
    """By node: log-probability of its path, and the same perturbed (stochastic beams)."""
    frontier: list[int] = field(default_factory=lambda: [0])
    """Nodes below which tokens are to be drawn next."""

    def add(self, parent: int, token: int, score: tuple[float, float] = (0.0, 0.0)) -> int:
        """A new candidate below `parent`; not yet in its `draws`."""
        self.tokens.append(token)
        self.parents.append(parent)
        self.depths.append(self.depths[parent] + 1)
        self.draws.append([])
        self.log_p.append(None)
        self.scores.append(score)
        return len(self.tokens) - 1

    def expected(self, node: int) -> Doubles:
        """`log_p` of a node that the draft was asked about."""
        known = self.log_p[node]
        assert known is not None
        return known

    @property
    def depth(self) -> int:
        """Tokens on the longest path."""
        return max(self.depths)

    def ancestors(self) -> NDArray[np.bool_]:
        """(nodes, nodes): whether the second is the first or above it."""
        seen = np.eye(len(self.tokens), dtype=np.bool_)
        for node in range(1, len(self.tokens)):
            seen[node] |= seen[self.parents[node]]
        return seen


class Shape(Protocol):
    """How a tree grows: which tokens are drawn below which nodes."""

    @property
    def most_nodes(self) -> int:
        """Candidates in the largest tree that it makes."""
        ...

    @property
    def most_depth(self) -> int:
        """Tokens on the longest path."""
        ...

    @property
    def independent(self) -> bool:
        """Whether siblings are drawn independently; else without replacement."""
        ...

    def grow(self, tree: DraftTree, rng: np.random.Generator | None) -> None:
        """Draw the next level below `tree.frontier`, and say what the frontier is then.

        No randomness (temperature 0): the likeliest instead.
        """
        ...


def gumbel(rng: np.random.Generator | None, shape: tuple[int, ...]) -> Doubles:
    """Noise whose largest sum with log-probabilities is a draw from them; 0 without randomness."""
    return np.zeros(shape) if rng is None else rng.gumbel(size=shape)
