"""ETS: keeps the steps that a linear programme chooses: reward, minus kept KV, plus coverage.

Paper: Hooper et al., "ETS: Efficient Tree Search for Inference-Time Scaling", 2025,
  arXiv:2502.13575; section 4, the objective with cost of the tree and coverage of clusters.
Symbols: N -> width; W_i / sum W -> REBASE's share; lambda_b -> kv_weight; lambda_d -> coverage;
  x_i, y_j -> kept leaf, kept inner node; K -> clusters; V -> nodes of the tree.
Differs: steps are clustered by the model's own hidden states at their ends, where it shows them
  (the authors embed the text), average linkage by cosine, cut at `cut`; without them, steps of
  equal text are one cluster. Solved by HiGHS instead of CBC.
Checked: tests/papers/test_ets.py: at least 1.5 times fewer kept nodes than REBASE at equal width,
  on simulated trees within a point of its accuracy; the built-in model's: benchmarks/headline.py.
Seed: 29
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import Bounds, LinearConstraint, milp

from bursar.reason.base import Pick
from bursar.reason.search.rebase import balanced, shares
from bursar.reason.search.tree import Growth, Node, weighted


@dataclass(frozen=True, slots=True)
class Ets:
    """REBASE over what the programme keeps. `coverage` 0: reward and cost alone."""

    width: int
    temperature: float = 0.2
    kv_weight: float = 1.0
    coverage: float = 1.4
    cut: float = 0.05

    def grow(self, root: Node, rng: np.random.Generator) -> Growth:
        return balanced(root, self.width, self.temperature, self.keep)

    def pick(self, ended: Sequence[Node]) -> Pick:
        return weighted(ended)

    def keep(self, leaves: Sequence[Node], width: int) -> list[Node]:
        """The leaves that maximise share - kv_weight * kept nodes + coverage * covered clusters."""
        shared = dict(shares(leaves, width, self.temperature))
        reward = np.array([shared.get(leaf, 0) for leaf in leaves]) / width
        inner = list(dict.fromkeys(node for leaf in leaves for node in leaf.path()[:-1]))
        place = {node: j for j, node in enumerate(inner)}
        clusters = cluster(leaves, self.cut)
        n, m, k = len(leaves), len(inner), int(clusters.max()) + 1
        cost = self.kv_weight / (n + m)
        gain = np.concatenate([reward - cost, np.full(m, -cost), np.full(k, self.coverage / k)])
        above = [(i, n + place[node]) for i, leaf in enumerate(leaves) for node in leaf.path()[:-1]]
        rows = np.arange(len(above))
        needs = sparse.coo_array(  # a kept leaf keeps all above it: x_i <= y_j
            (np.r_[np.ones(len(above)), -np.ones(len(above))],
             (np.r_[rows, rows], np.r_[[i for i, _ in above], [j for _, j in above]])),
            shape=(len(above), n + m + k),
        )  # fmt: skip
        covers = sparse.coo_array(  # a cluster is covered by a kept leaf: cov_k <= sum x_i
            (np.r_[np.ones(k), -np.ones(n)],
             (np.r_[np.arange(k), clusters], np.r_[n + m + np.arange(k), np.arange(n)])),
            shape=(k, n + m + k),
        )  # fmt: skip
        some = sparse.coo_array(
            (np.ones(n), (np.zeros(n, int), np.arange(n))), shape=(1, n + m + k)
        )
        found = milp(
            -gain,
            integrality=np.ones(n + m + k, dtype=np.int64),
            bounds=Bounds(0, 1),
            constraints=[
                LinearConstraint(needs.tocsr(), -np.inf, 0),
                LinearConstraint(covers.tocsr(), -np.inf, 0),
                LinearConstraint(some.tocsr(), 1, np.inf),
            ],
        )
        chosen = [1.0] * n if found.x is None else found.x[:n]  # never infeasible; all, if unsolved
        return [leaf for leaf, x in zip(leaves, chosen, strict=True) if x > 0.5]


def cluster(nodes: Sequence[Node], cut: float) -> NDArray[np.int64]:
    """Cluster number, from 0, per node: average linkage of hidden states by cosine distance."""
    if len(nodes) < 2 or any(node.hidden is None for node in nodes):
        _, numbers = np.unique([node.text for node in nodes], return_inverse=True)
        return np.asarray(numbers, np.int64)
    states = np.stack([np.asarray(node.hidden) for node in nodes])
    return np.asarray(fcluster(linkage(states, "average", "cosine"), cut, "distance"), np.int64) - 1
