"""Split-conformal thresholds: above which score an early exit is safe enough."""

import math

import numpy as np
from numpy.typing import ArrayLike

from bursar.errors import BadInput


def threshold(scores: ArrayLike, alpha: float) -> float:
    """The score that one more draw, exchangeable with `scores` (n,), exceeds with P <= `alpha`.

    The ceil((n + 1)(1 - alpha))-th smallest; infinity where n is too small for so small an alpha.
    Raises `BadInput` unless 0 < alpha < 1.
    """
    if not 0 < alpha < 1:
        raise BadInput(f"alpha is {alpha}; the share of premature exits must lie between 0 and 1")
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    place = math.ceil((len(ordered) + 1) * (1 - alpha))
    return math.inf if place > len(ordered) else float(ordered[place - 1])


def worst_look(scores: ArrayLike, safe: ArrayLike) -> float:
    """The highest threshold at which a trajectory would be left at an unsafe look.

    `scores`, `safe` (looks,) are in order. A text is left at its first look above the threshold,
    so an unsafe look counts only when no look before it has scored as high; minus infinity when
    none counts. One such number per trajectory makes the many looks of a trajectory one draw: no
    correction for their number or their dependence is needed.
    """
    values, fine = np.asarray(scores, dtype=np.float64), np.asarray(safe, dtype=np.bool_)
    before = np.concatenate([[-np.inf], np.maximum.accumulate(values)[:-1]])
    return float(values[~fine & (values > before)].max(initial=-np.inf))
