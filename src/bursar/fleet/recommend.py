"""Which instance to rent, and how many, when it is not sure how many users one carries.

The price of being wrong is not the same on both sides: too few instances fail all their users, too
many cost money. What is best under the whole distribution is therefore chosen, not what is best for
its middle.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bursar.errors import BadInput, Infeasible


@dataclass(frozen=True, slots=True)
class Recommendation:
    """`instances` of the candidate numbered `candidate`, each taken to carry `users_each`.

    `success`: the chance that they carry the load; `worth`: see `recommend`.
    """

    candidate: int
    users_each: float
    instances: int
    usd_per_hour: float
    success: float
    worth: float


def recommend(
    carried: ArrayLike, usd_per_hour: ArrayLike, users: float, levels: Sequence[float]
) -> Recommendation:
    """The candidate and number of instances of most expected worth for so many `users`.

    `carried` (draws, candidates): users that one instance carries, together likely; 0 for none.
    `usd_per_hour` (candidates,) of one instance. A number of instances is one that `levels` users
    each would need. In a draw a choice is worth 1 less what it costs above the cheapest that
    carries the load, relative to that, and 0 where it does not carry it: to first order what a
    harmonic mean of success and saved cost is worth, where both are alike. Raises `BadInput` on
    shapes that do not fit, `Infeasible` where no draw carries anybody.
    """
    draws, prices = np.asarray(carried, np.float64), np.asarray(usd_per_hour, np.float64)
    if draws.ndim != 2 or prices.shape != draws.shape[1:] or not draws.size or not len(levels):
        raise BadInput(
            f"carried {draws.shape}, prices {prices.shape}, {len(levels)} levels; give (draws, "
            "candidates), (candidates,) and one level at least"
        )
    if not (users > 0 and np.all(prices > 0) and min(levels) > 0):
        raise BadInput("users, prices and levels must be above 0")
    needed = np.full(draws.shape, np.inf)
    np.divide(users, draws, out=needed, where=draws > 0)
    cheapest = np.min(np.ceil(needed) * prices, axis=1)
    some = np.isfinite(cheapest)
    if not np.any(some):
        raise Infeasible(
            f"no candidate carries anybody within the limits in {len(draws)} draws; loosen the "
            "limits or give larger devices"
        )
    best: Recommendation | None = None
    for candidate, price in enumerate(prices):
        for level in levels:
            instances = int(np.ceil(users / level))
            succeeds = (needed[:, candidate] <= instances) & some
            over = instances * price / cheapest[succeeds] - 1.0
            found = Recommendation(
                candidate=candidate,
                users_each=float(level),
                instances=instances,
                usd_per_hour=float(instances * price),
                success=float(np.mean(succeeds)),
                worth=float(np.sum(1.0 - over)) / len(draws),
            )
            if best is None or found.worth > best.worth:
                best = found
    assert best is not None
    return best
