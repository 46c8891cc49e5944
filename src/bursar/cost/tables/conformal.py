"""Split-conformal intervals in log space: from residuals on what was held out, whole groups alike.

Jing Lei, Max G'Sell, Alessandro Rinaldo, Ryan J. Tibshirani, Larry Wasserman, "Distribution-Free
Predictive Inference for Regression", 2018: the (n + 1) correction of the empirical quantiles makes
the cover hold on average for a further point exchangeable with the held-out ones.
"""

from collections.abc import Sequence

import numpy as np

from bursar.cost.work import Array

COVER = 0.8


def interval(groups: Sequence[Array], cover: float = COVER) -> tuple[float, float]:
    """(low, high) of log(measured / predicted) that hold `cover` of the groups' points.

    Each group (a device, a model) weighs the same, however many points it has. With G groups the
    bounds are widened by sqrt(1 + 1/G), as for a prediction from a mean of G: points of one group
    err together, so it is the groups that are few.
    """
    pooled = np.concatenate(groups)
    weights = np.concatenate([np.full(len(group), 1.0 / len(group)) for group in groups])
    order = np.argsort(pooled)
    mass = np.cumsum(weights[order]) / weights.sum()
    extra = (1.0 - cover) / 2.0
    count = len(pooled)
    shift = extra - extra / (count + 1)  # n + 1 points, the last one unknown
    at = np.minimum(np.searchsorted(mass, [shift, 1.0 - shift]), count - 1)
    low, high = pooled[order][at]
    widen = np.sqrt(1.0 + 1.0 / len(groups))
    return widen * min(float(low), 0.0), widen * max(float(high), 0.0)


def inside(ratios: Array, bounds: tuple[float, float]) -> float:
    """Share of `ratios` within `bounds`."""
    return float(np.mean((ratios >= bounds[0]) & (ratios <= bounds[1])))
