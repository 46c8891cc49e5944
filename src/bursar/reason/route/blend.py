"""Blend: the mean of several estimators, each of which errs in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bursar.reason.route.base import Estimator
from bursar.value.base import Floats
from bursar.value.outcomes import Outcomes


@dataclass(frozen=True, slots=True)
class Blend:
    """Mean of the estimates of `parts`."""

    parts: tuple[Estimator, ...]

    def fit(self, seen: Outcomes) -> Blend:
        return Blend(tuple(p.fit(seen) for p in self.parts))

    def estimate(self, prompts: Sequence[str]) -> Floats:
        """(prompts, ways) P(right)."""
        return np.asarray(np.mean([p.estimate(prompts) for p in self.parts], axis=0))
