"""What the numbers of a request must be, and the error that says which one is not."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bursar.errors import BadInput

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Place = Callable[[int], str]
"""Says where row i stands, such as "trace.csv:17"."""

REMEDY = "correct the row or take it out"
MOST = 2.0**53
"""Up to here a float holds every integer."""


def times(values: ArrayLike, name: str, place: Place) -> Floats:
    """`values` (n,) as times; raises `BadInput` at the first not finite or below zero."""
    column = np.asarray(values, dtype=np.float64)
    bad = ~(np.isfinite(column) & (column >= 0))
    refuse(bad, column, name, "a finite time, zero or more", place)
    return column


def latencies(values: ArrayLike, name: str, place: Place) -> Floats:
    """`values` (n,) as measured times, NaN where not measured.

    Raises `BadInput` at the first that is infinite or below zero.
    """
    column = np.asarray(values, dtype=np.float64)
    bad = np.isinf(column) | (column < 0)
    refuse(bad, column, name, "zero or more, or NaN where not measured", place)
    return column


def counts(values: ArrayLike, name: str, place: Place) -> Ints:
    """`values` (n,) as token counts; raises `BadInput` at the first not whole or below zero."""
    return whole(values, name, place, least=0, rule="a whole number of tokens, zero or more")


def whole(
    values: ArrayLike,
    name: str,
    place: Place,
    *,
    least: float = -MOST,
    rule: str = "a whole number",
) -> Ints:
    """`values` (n,) as integers; raises `BadInput` at the first not whole or below `least`."""
    column = np.asarray(values, dtype=np.float64)
    good = (column == np.floor(column)) & (least <= column) & (column <= MOST)
    refuse(~good, column, name, rule, place)
    return column.astype(np.int64)


def refuse(bad: Flags, column: Floats, name: str, rule: str, place: Place) -> None:
    """Raises `BadInput` for the first row that is flagged in `bad`."""
    if bad.any():
        row = int(np.argmax(bad))
        raise BadInput(f"{place(row)}: {name} is {column[row]:.12g}, must be {rule}; {REMEDY}")


def positive(value: float, name: str) -> float:
    """`value`; raises `BadInput` unless finite and above zero."""
    if not (np.isfinite(value) and value > 0):
        raise BadInput(f"{name} is {value}, must be a finite number above zero")
    return value
