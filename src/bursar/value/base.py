"""What a value curve is: spending in, expected value out, with an interval.

Spend is in samples (or tokens, or dollars: a curve never asks), value is a share of right answers.
"""

from collections.abc import Sequence
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bursar.errors import BadInput

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@runtime_checkable
class ValueCurve(Protocol):
    """What spending buys. Curves are non-decreasing on spend >= 0 (`Returns` are those that need
    not be)."""

    def value(self, spend: ArrayLike) -> Floats:
        """Expected value at each spend; same shape as `spend`."""
        ...

    def marginal(self, spend: ArrayLike) -> Floats:
        """d value / d spend; same shape as `spend`."""
        ...

    def interval(self, spend: ArrayLike, level: float = 0.9) -> tuple[Floats, Floats]:
        """Low and high ends of the curve, each holding `level` of the refitted curves.

        Raises `BadInput` when the curve was not fitted: given parameters have no interval.
        """
        ...

    @classmethod
    def fit(
        cls,
        spend: ArrayLike,
        value: ArrayLike,
        *,
        trials: ArrayLike | None = None,
        draws: int = 200,
        seed: int = 0,
    ) -> Self:
        """The curve through `value`, shape (points,) or (questions, points), at `spend` (points,).

        With questions, the interval comes from resampling them. With `trials` (points,), `value`
        is a share of that many and the fit is the binomial maximum likelihood.
        Raises `BadInput` on fewer points than parameters, or values that are not finite.
        """
        ...


def check_spend(spend: ArrayLike) -> Floats:
    """`spend` as floats; raises `BadInput` unless finite and >= 0."""
    amounts = np.asarray(spend, dtype=float)
    if not np.all(np.isfinite(amounts)) or np.any(amounts < 0):
        raise BadInput(f"spend must be finite and zero or more, got {_shown(amounts)}")
    return amounts


def check_counts(successes: ArrayLike, trials: ArrayLike) -> tuple[Floats, Floats]:
    """Both as float arrays of one shape; raises `BadInput` unless 0 <= successes <= trials."""
    right, tried = np.broadcast_arrays(
        np.asarray(successes, dtype=float), np.asarray(trials, dtype=float)
    )
    if not (np.all(np.isfinite(tried)) and np.all((right >= 0) & (right <= tried))):
        raise BadInput(
            f"successes must lie between 0 and trials, got {_shown(right)} of {_shown(tried)}"
        )
    return right, tried


def check_level(level: float) -> float:
    """`level`; raises `BadInput` unless strictly between 0 and 1."""
    if not 0 < level < 1:
        raise BadInput(f"level must lie between 0 and 1, got {level}; 0.9 is usual")
    return level


def _shown(values: NDArray[Any] | Sequence[float]) -> str:
    flat = np.asarray(values).ravel()
    return np.array2string(flat[:5], precision=4) + (" ..." if flat.size > 5 else "")
