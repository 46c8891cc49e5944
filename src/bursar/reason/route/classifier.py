"""Classifier router: for each way a logistic regression says whether it will be right.

Paper: Dujian Ding et al., "Hybrid LLM: Cost-Efficient and Quality-Aware Query Routing", 2024,
  arXiv:2404.14618; deterministic router; supervised routing in the survey arXiv:2502.00409.
Symbols: p_w(x) -> estimate; w -> weight.
Differs: one regression per way on hashed text features where the paper tunes a DeBERTa for one
  pair of models; trained on each way being right, so that any number of ways share it.
Checked: tests/papers/test_routing.py: beats a random choice at equal mean cost on questions of
  mixed kinds, and stays under the oracle.
Seed: 69
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit

from bursar.value.base import Floats
from bursar.value.outcomes import Outcomes
from bursar.value.text_features import TextFeatures

TEXT_SCALE = 8.0
"""Unit rows are spread over hundreds of buckets: scaled up, or the penalty would see no text."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """`penalty` is the ridge on weights, per known question; intercept and length go free."""

    penalty: float = 0.03
    features: TextFeatures = field(default_factory=lambda: TextFeatures(np.zeros(0)))
    weight: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    def fit(self, seen: Outcomes) -> Classifier:
        """Maximum penalised likelihood; a fractional outcome counts as so much of a right one."""
        features = TextFeatures.fit(seen.prompts)
        x, right = _design(features, seen.prompts), seen.right
        back = x.T.tocsr()
        ridge = np.full((x.shape[1], 1), self.penalty)
        ridge[-2:] = 1e-6

        def loss(flat: Floats) -> tuple[float, Floats]:
            weight = flat.reshape(x.shape[1], -1)
            z = x @ weight
            fall = (np.logaddexp(0, z) - right * z).sum() / len(right)
            slope = back @ (expit(z) - right) / len(right) + ridge * weight
            return float(fall + (ridge * weight**2).sum() / 2), slope.ravel()

        start = np.zeros(x.shape[1] * right.shape[1])
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200})
        return Classifier(self.penalty, features, found.x.reshape(x.shape[1], -1))

    def estimate(self, prompts: Sequence[str]) -> Floats:
        """(prompts, ways) P(right)."""
        chance: Floats = expit(_design(self.features, prompts) @ self.weight)
        return chance


def _design(features: TextFeatures, prompts: Sequence[str]) -> sparse.csr_array:
    """Text features, then log length about 5 (150 characters), then 1."""
    length = np.log1p([len(p) for p in prompts]) - 5.0
    dense = np.column_stack([length, np.ones(len(prompts))])
    text = TEXT_SCALE * features.of(prompts)
    return sparse.csr_array(sparse.hstack([text, sparse.csr_array(dense)]))
