"""Similarity router: a question goes where questions like it were answered right.

Paper: Qitian Jason Hu et al., "RouterBench: A Benchmark for Multi-LLM Routing System", 2024,
  arXiv:2403.12031; KNN router; similarity-based routing in the survey
  arXiv:2502.00409.
Symbols: k -> neighbours; P_ij -> estimate; lambda -> 1 / price.
Differs: text features in place of a sentence encoder's; neighbours count by the square of their
  similarity, and `shrink` imagined neighbours with the ways' means are added.
Checked: tests/papers/test_routing.py: beats a random choice at equal mean cost on questions of
  mixed kinds, and stays under the oracle.
Seed: 69
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from bursar.value.base import Floats
from bursar.value.outcomes import Outcomes
from bursar.value.text_features import TextFeatures

AT_ONCE = 512
"""Prompts compared with all known questions at once: bounds the memory."""


@dataclass(frozen=True, slots=True)
class Similarity:
    """Mean outcome of the `neighbours` (k) most similar known questions."""

    neighbours: int = 50
    shrink: float = 0.1
    features: TextFeatures = field(default_factory=lambda: TextFeatures(np.zeros(0)))
    known: sparse.csr_array = field(default_factory=lambda: sparse.csr_array((0, 0)))
    right: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    def fit(self, seen: Outcomes) -> Similarity:
        features = TextFeatures.fit(seen.prompts)
        known = features.of(seen.prompts)
        return Similarity(self.neighbours, self.shrink, features, known, seen.right)

    def estimate(self, prompts: Sequence[str]) -> Floats:
        """(prompts, ways) P(right)."""
        asked = self.features.of(prompts)
        parts = [
            self._near(asked[i : i + AT_ONCE]) for i in range(0, max(len(prompts), 1), AT_ONCE)
        ]
        return np.concatenate(parts)

    def _near(self, asked: sparse.csr_array) -> Floats:
        alike = (asked @ self.known.T).toarray()
        k = min(self.neighbours, alike.shape[1])
        nearest = np.argpartition(-alike, k - 1, axis=1)[:, :k]
        weight = np.take_along_axis(alike, nearest, axis=1) ** 2
        total = np.einsum("nk,nkw->nw", weight, self.right[nearest])
        mean = self.right.mean(axis=0)
        near: Floats = (total + self.shrink * mean) / (
            weight.sum(axis=1, keepdims=True) + self.shrink
        )
        return near
