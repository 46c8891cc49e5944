"""TTFT and TPOT of a served load, each with an 80 % interval and where it comes from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bursar.cost.endtoend.features import Operators, features
from bursar.cost.endtoend.law import Columns, tpot_seconds, ttft_seconds
from bursar.cost.endtoend.served import Served
from bursar.cost.endtoend.shipped import Shipped, shipped


@dataclass(frozen=True, slots=True)
class Between:
    """Seconds; 80 of 100 servers are between `low` and `high`."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """Mean times as benchmarks report them.

    `tier`: "table" (measured operators of this device), "fitted" (its datasheet, coefficients from
    other devices) or "nearest" (another model or device stands in). `mode` as in `Served`.
    """

    ttft: Between
    tpot: Between
    tier: str
    mode: str


def predict(
    loads: Sequence[Served],
    operators: Operators,
    *,
    nearest: Sequence[bool] | None = None,
    by: Shipped | None = None,
) -> list[Prediction]:
    """Predictions in the order of `loads`; keep `operators`, they remember.

    `nearest` says for which loads another model or device stands in. `by`: coefficients other than
    those that ship. Raises `BadInput` for a device whose memory bandwidth or link is not known.
    """
    if not loads:
        return []
    chosen = by or shipped()
    columns = Columns.of([features(load, operators) for load in loads])
    tiers = np.where(nearest or False, "nearest", columns.tier)
    middles = zip(ttft_seconds(columns, chosen.law), tpot_seconds(columns), strict=True)
    found = []
    for tier, mode, (ttft, tpot) in zip(tiers, columns.mode, middles, strict=True):
        factors = chosen.intervals[str(tier)][str(mode)]
        found.append(
            Prediction(
                _between(float(ttft), factors["ttft"]),
                _between(float(tpot), factors["tpot"]),
                str(tier),
                str(mode),
            )
        )
    return found


def _between(middle: float, factors: tuple[float, float]) -> Between:
    return Between(middle * factors[0], middle, middle * factors[1])
