"""Independent draft trees: siblings are drawn with replacement, as SpecInfer and SpecTr do.

Paper: Xupeng Miao, Gabriele Oliaro, Zhihao Zhang, Xinhao Cheng, Zeyu Wang, et al., "SpecInfer:
    Accelerating Generative Large Language Model Serving with Tree-based Speculative Inference and
    Verification", 2023, arXiv:2305.09781; Ziteng Sun, Ananda Theertha Suresh, Jae Hun Ro, Ahmad
    Beirami, Himanshu Jain, Felix Yu, "SpecTr: Fast Speculative Decoding via Optimal Transport",
    2023, arXiv:2310.15141; section 4 (K-SEQ). One draw a level is speculative decoding (Leviathan,
    Kalman, Matias, 2022, arXiv:2211.17192; Chen et al., 2023, arXiv:2302.01318).
Symbols: <k_1, k_2, ..> -> branching; K sequences of length L -> branching (K, 1, .., 1).
Differs: one draft; equal siblings are run once, which saves target tokens and keeps all draws.
Checked: tests/papers/test_rsd.py: the baseline that sampling without replacement is held against,
    under both rules of verification; outputs pass a chi-square test.
"""

from dataclasses import dataclass
from math import prod

import numpy as np

from bursar.backends.speculative.tree import DraftTree
from bursar.backends.speculative.verify import draw
from bursar.errors import BadInput


@dataclass(frozen=True, slots=True)
class IndependentTree:
    """Below each draw of a level so many more, `branching[level]`. All 1: a chain."""

    branching: tuple[int, ...]
    independent: bool = True

    def __post_init__(self) -> None:
        if min(self.branching, default=1) < 1:
            raise BadInput(f"draws a level are {self.branching}; each must be at least 1")

    @property
    def most_nodes(self) -> int:
        """Draws; equal siblings make it fewer nodes."""
        return sum(prod(self.branching[: i + 1]) for i in range(len(self.branching)))

    @property
    def most_depth(self) -> int:
        """Levels."""
        return len(self.branching)

    def grow(self, tree: DraftTree, rng: np.random.Generator | None) -> None:
        """See `Shape`."""
        count, below = self.branching[tree.depth], list[int]()
        for node in tree.frontier:
            p = np.exp(tree.expected(node))
            copies = tree.draws[tree.parents[node]].count(node) if node else 1
            known: dict[int, int] = {}
            for _ in range(copies * count):
                token = int(p.argmax()) if rng is None else draw(p, rng)
                if token not in known:
                    known[token] = tree.add(node, token)
                tree.draws[node].append(known[token])
            below += known.values()
        tree.frontier = below
