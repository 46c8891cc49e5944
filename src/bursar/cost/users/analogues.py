"""`Analogues`: how sure a predicted number of users is, from what like predictions came to."""

from dataclasses import dataclass

import numpy as np

from bursar.cost.work import Array
from bursar.errors import BadInput

NEAR = 0.5
"""Doublings of users within which predictions are alike."""


@dataclass(frozen=True, slots=True)
class Analogues:
    """Left-out predictions and measurements of other models' instances, log2 of users, (cases,).

    No shape of error is assumed: a prediction's distribution is the measured values of the cases,
    each with a weight that falls with the distance of the predictions.
    """

    predicted: Array
    measured: Array

    def __post_init__(self) -> None:
        if self.predicted.shape != self.measured.shape or not self.predicted.size:
            raise BadInput(
                f"{self.predicted.size} predictions and {self.measured.size} measurements; give "
                "one of each per case, one case at least"
            )

    def draws(self, predicted: Array, count: int, rng: np.random.Generator) -> Array:
        """(count, len(predicted)): log2 of users that instances with these predictions carry."""
        return np.stack(
            [rng.choice(self.measured, count, p=self._weights(one)) for one in predicted], axis=1
        )

    def _weights(self, predicted: float) -> Array:
        apart = np.abs(predicted - self.predicted)
        # the nearest has weight 1, so that far from all cases something is left
        weight = np.exp(-0.5 * (apart**2 - np.min(apart) ** 2) / NEAR**2)
        return np.asarray(weight / np.sum(weight))
