"""By history: estimates ways nobody trained on from what each of them did on a few questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bursar.value.base import Floats
from bursar.value.outcomes import Outcomes
from bursar.value.text_features import TextSpace
from bursar.value.v0 import V0


@dataclass(frozen=True, slots=True)
class ByHistory:
    """`V0` as an estimator: `fit` only takes the history in, nothing is trained.

    `value` and `space` were learned from other models' outcomes.
    """

    value: V0
    space: TextSpace
    history: Outcomes | None = None

    def fit(self, seen: Outcomes) -> ByHistory:
        return ByHistory(self.value, self.space, seen)

    def estimate(self, prompts: Sequence[str]) -> Floats:
        """(prompts, ways) P(right); needs `fit`."""
        assert self.history is not None, "fit() gives it a history"
        past, asked = self.space.of(self.history.prompts), self.space.of(prompts)
        return np.column_stack(
            [self.value.predict(past, right, asked) for right in self.history.right.T]
        )
