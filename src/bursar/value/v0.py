"""V0: predicts how often a policy never seen before will be right at a new prompt.

Paper: Yi-Kai Zhang et al., "V_0: A Generalist Value Model for Any Policy at State Zero", 2026,
  arXiv:2602.03584; section 4, value as inference from a context of instruction-performance pairs.
Symbols: C_pi (context) -> history; x -> features; V_0(x, C_pi) -> predict.
Differs: in place of an embedding model with a trained query adapter and TabPFN, features of any
  source and Bayesian linear regression whose prior over policies is learned, which is attention
  over the history with a learned kernel in closed form; no pairwise ranking loss.
Checked: tests/papers/test_v0.py: on policies it never saw, area under ROC at least .75; allocating
  samples by it beats uniform, routing by it beats the best fixed model at equal cost; shuffled
  histories destroy what the history gains.
Seed: 21
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bursar.errors import BadInput
from bursar.value.base import Floats

STEPS = 20
"""Of EM; the prior hardly moves after ten."""
PRIOR_POLICIES = 2.0
"""How many imagined policies, alike in all directions, the learned spread is mixed with."""
EDGE = 0.01


@dataclass(frozen=True, slots=True)
class V0:
    """Policy p is right at features x with chance w_p . x, give or take; w_p ~ N(`mean`, `spread`).

    `mean` (d,) is the policy nobody knows; `spread` (d, d) says in which directions policies
    differ: x' `spread` x is how much an outcome at one prompt tells about another. `noise` is the
    variance of an outcome. One prior for all policies; a new policy is only its history.
    """

    mean: Floats
    spread: Floats
    noise: float

    @classmethod
    def fit(cls, features: Floats, right: Floats) -> V0:
        """The prior by EM, from `features` (prompts, d) and `right` (prompts, policies) in [0, 1].

        NaN in `right`: that policy was not asked. Raises `BadInput` with fewer than two policies.
        """
        x, y = np.asarray(features, dtype=float), np.asarray(right, dtype=float)
        if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or y.shape[1] < 2:
            raise BadInput(
                f"V0 learns from features (prompts, d) and outcomes (prompts, 2 or more policies), "
                f"got {x.shape} and {y.shape}"
            )
        known = [~np.isnan(column) for column in y.T]
        sums = [(x[k].T @ x[k], x[k].T @ c[k]) for k, c in zip(known, y.T, strict=True)]
        squares = sum(float(c[k] @ c[k]) for k, c in zip(known, y.T, strict=True))
        count, width = sum(int(k.sum()) for k in known), x.shape[1]
        gram, hits = sum(s[0] for s in sums), sum(s[1] for s in sums)
        mean = np.linalg.solve(gram + 1e-2 * np.eye(width), hits)
        noise = max((squares - float(hits @ mean)) / count, 1e-3)
        # imagined policies are as far from each other, per feature, as whole outcomes can be
        weak = 0.1 * np.eye(width) / max(float((x**2).sum(axis=1).mean()), 1e-12)
        spread = weak
        for _ in range(STEPS):
            found = [_posterior(mean, spread, noise, xx, xy) for xx, xy in sums]
            mean = np.mean([m for m, _ in found], axis=0)
            scatter = sum(v + np.outer(m - mean, m - mean) for m, v in found)
            spread = (scatter + PRIOR_POLICIES * weak) / (len(found) + PRIOR_POLICIES)
            misfit = squares + sum(
                float(m @ xx @ m - 2 * m @ xy + np.sum(xx * v))
                for (xx, xy), (m, v) in zip(sums, found, strict=True)
            )
            noise = max(misfit / count, 1e-3)
        return cls(mean, spread, noise)

    def predict(self, history: Floats, right: Floats, features: Floats) -> Floats:
        """(prompts,) P(right) at `features` (prompts, d) of the policy whose `history` (h, d)
        went as `right` (h,) says; an empty history gives the policy nobody knows.
        """
        past = np.asarray(history, dtype=float).reshape(-1, len(self.mean))
        weight, _ = _posterior(
            self.mean, self.spread, self.noise, past.T @ past, past.T @ np.asarray(right, float)
        )
        return np.asarray(np.clip(features @ weight, EDGE, 1 - EDGE))


def _posterior(
    mean: Floats, spread: Floats, noise: float, xx: Floats, xy: Floats
) -> tuple[Floats, Floats]:
    """Mean (d,) and covariance (d, d) of a policy's weights given its sums of x x' and x y."""
    # (xx / noise + spread^-1)^-1 without the inverse: the spread may be flat in some directions
    gain = np.linalg.solve(spread @ xx + noise * np.eye(len(mean)), spread)
    return mean + gain @ (xy - xx @ mean), noise * (gain + gain.T) / 2
