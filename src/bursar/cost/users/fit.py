"""Fits the law of users to measured servers, each model with nearly the same weight."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
from scipy.optimize import least_squares

from bursar.cost.users.instance import Instance
from bursar.cost.users.law import Loads, UsersLaw
from bursar.cost.work import Array
from bursar.errors import BadInput

_FACTORS = {"weights": 0.3, "cache": 0.3, "joined": 0.8, "prompt": 0.7, "padded_room": 1.0}
_SPREAD = 0.6
"""How far off by a factor of e a coefficient may be, before any data."""
_FIRST, _BETWEEN = 0.4, 0.15
"""Residuals of the logarithms beyond these count by their size, not its square."""
_MANY = 30
"""Rows that make a model count in full."""


@dataclass(frozen=True, slots=True)
class MeasuredUsers:
    """One instance of `model` under so many users: typical seconds to the first token and between.

    `name` tells instances of a model from each other.
    """

    model: str
    name: str
    instance: Instance
    users: float
    first_seconds: float
    between_seconds: float


def fit_users(rows: Sequence[MeasuredUsers], tokens_out: float) -> UsersLaw:
    """The law nearest to the rows, pulled to its defaults where they say little.

    Raises `BadInput` without rows or with a time that is not above zero.
    """
    if not rows:
        raise BadInput("no measured servers; give the times of one instance at least")
    users = np.array([[row.users] for row in rows])
    first = np.array([[row.first_seconds] for row in rows])
    between = np.array([[row.between_seconds] for row in rows])
    if not (np.all(first > 0) and np.all(between > 0) and np.all(users >= 1)):
        raise BadInput("a measured server with no users or no time; all must be above 0")
    loads = Loads.of([row.instance for row in rows], tokens_out)
    count = Counter(row.model for row in rows)
    weight = np.sqrt([[2.0 * _MANY / (_MANY + count[row.model])] for row in rows])
    start = np.log(np.array(astuple(UsersLaw())))
    spread = np.array([_FACTORS.get(field.name, _SPREAD) for field in fields(UsersLaw)])

    def residuals(x: Array) -> Array:
        found_first, found_between = UsersLaw(*np.exp(x)).seconds(loads, users)
        off = np.concatenate([
            np.ravel(weight * np.log(found_first / first)) / _FIRST,
            np.ravel(weight * np.log(found_between / between)) / _BETWEEN,
        ])  # fmt: skip
        bent = np.sign(off) * np.sqrt(2.0 * (np.sqrt(1.0 + off**2) - 1.0))
        return np.concatenate([bent, (x - start) / spread])

    return UsersLaw(*map(float, np.exp(least_squares(residuals, start, max_nfev=60).x)))
