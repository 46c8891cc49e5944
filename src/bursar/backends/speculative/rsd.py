"""RSD: draft trees drawn without replacement, judged by recursive rejection sampling.

Paper: Wonseok Jeon, Mukul Gagrani, Raghavv Goel, Junyoung Park, Mingu Lee, Christopher Lott,
    "Recursive Speculative Decoding: Accelerating LLM Inference via Sampling Without Replacement",
    2024, arXiv:2402.14160; sections 3.1 (recursive rejection), 3.2.1 (RSD-C), 3.2.2 (RSD-S, on the
    stochastic beam search of Kool, van Hoof, Welling, 2019, arXiv:1903.06059).
Symbols: branching factors b -> counts; W -> width; L -> depth; phi, psi -> `DraftTree.scores`.
Differs: children per node may differ within a level (a trimmed tree keeps its guarantee, because
    how many are drawn depends on places, not on tokens). At temperature 0 noise is left out.
Checked: tests/papers/test_rsd.py: outputs pass a chi-square test against the target's exact
    probabilities; with a draft that is often wrong, tokens per target call exceed those of the best
    independent tree or chain of as many candidates; with one that is nearly always right a chain
    is ahead of every tree.
Seed: 72
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from bursar.backends.speculative.tree import Doubles, DraftTree, gumbel
from bursar.errors import BadInput


@dataclass(frozen=True, slots=True)
class RsdC:
    """Gumbel-top-k: below the i-th node of a level, `counts[level][i]` tokens; 0 makes it a leaf.

    No counts at all: nothing is drafted.
    """

    counts: tuple[tuple[int, ...], ...]
    independent: bool = False

    @classmethod
    def constant(cls, branching: tuple[int, ...]) -> RsdC:
        """The same number below every node of a level."""
        if min(branching, default=1) < 1:
            raise BadInput(f"children a level are {branching}; each must be at least 1")
        nodes = [prod(branching[:i]) for i in range(len(branching))]
        return cls(tuple((b,) * n for b, n in zip(branching, nodes, strict=True)))

    @property
    def most_nodes(self) -> int:
        """Candidates in every tree."""
        return sum(map(sum, self.counts))

    @property
    def most_depth(self) -> int:
        """Levels."""
        return len(self.counts)

    def grow(self, tree: DraftTree, rng: np.random.Generator | None) -> None:
        """See `Shape`."""
        below = []
        drawn = [count for count in self.counts[tree.depth] if count]
        for node, count in zip(tree.frontier, drawn, strict=True):
            log_p = tree.expected(node)
            keys = log_p + gumbel(rng, log_p.shape)
            for token in _largest(keys, count):
                tree.draws[node].append(tree.add(node, int(token)))
            below += tree.draws[node]
        if tree.depth < self.most_depth:  # the draft is not asked about leaves
            counts = self.counts[tree.depth]
            tree.frontier = [n for n, count in zip(below, counts, strict=True) if count]


@dataclass(frozen=True, slots=True)
class RsdS:
    """Stochastic beam search: on each of `depth` levels the `width` best sequences, perturbed."""

    width: int
    depth: int
    independent: bool = False

    def __post_init__(self) -> None:
        if self.width < 1 or self.depth < 1:
            raise BadInput(f"beams of {self.width} x {self.depth}; both must be at least 1")

    @property
    def most_nodes(self) -> int:
        """Candidates in every tree."""
        return self.width * self.depth

    @property
    def most_depth(self) -> int:
        """Levels."""
        return self.depth

    def grow(self, tree: DraftTree, rng: np.random.Generator | None) -> None:
        """See `Shape`."""
        parents = tree.frontier
        above = np.array([tree.scores[node] for node in parents])
        log_p = np.stack([tree.expected(node) for node in parents])
        paths = above[:, :1] + log_p
        perturbed = paths if rng is None else _under(above[:, 1:], paths + gumbel(rng, paths.shape))
        chosen = _largest(perturbed.reshape(-1), self.width)
        below = []
        for at, token in zip(*np.unravel_index(chosen, paths.shape), strict=True):
            score = float(paths[at, token]), float(perturbed[at, token])
            below.append(tree.add(parents[at], int(token), score))
            tree.draws[parents[at]].append(below[-1])
        tree.frontier = below


def _largest(keys: Doubles, count: int) -> list[int]:
    """Places of the `count` largest, the largest first."""
    order: list[int] = np.argsort(-keys, kind="stable")[:count].tolist()
    return order


def _under(most: Doubles, keys: Doubles) -> Doubles:
    """Gumbel `keys` (nodes, vocab), given that the largest of each node is `most` (nodes, 1)."""
    with np.errstate(divide="ignore"):  # log(0) at the largest itself, which becomes `most`
        v = most - keys + np.log1p(-np.exp(keys - keys.max(axis=1, keepdims=True)))
    return np.asarray(most - np.maximum(v, 0.0) - np.log1p(np.exp(-np.abs(v))))
