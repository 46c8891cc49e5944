"""Best single: every question to the way that was best on average, for its price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bursar.value.base import Floats
from bursar.value.outcomes import Outcomes


@dataclass(frozen=True, slots=True)
class BestSingle:
    """Estimates each way at its mean, whatever the question."""

    mean: Floats = field(default_factory=lambda: np.zeros(0))

    def fit(self, seen: Outcomes) -> BestSingle:
        return BestSingle(seen.right.mean(axis=0))

    def estimate(self, prompts: Sequence[str]) -> Floats:
        """(prompts, ways), all rows the same."""
        return np.tile(self.mean, (len(prompts), 1))
