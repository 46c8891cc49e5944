"""TTFT and TPOT of a served load, each with an 80 % interval and where it comes from."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from bursar.cost.endtoend.features import features
from bursar.cost.endtoend.law import Columns, tpot_seconds, ttft_with
from bursar.cost.endtoend.served import Served
from bursar.cost.work import Array


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
    other devices), "roofline" or "nearest" (another model or device stands in). `mode` as in
    `Served`.
    """

    ttft: Between
    tpot: Between
    tier: str
    mode: str


def predict(loads: Sequence[Served], *, nearest: Sequence[bool] | None = None) -> list[Prediction]:
    """Predictions in the order of `loads`, whose sizes are single numbers.

    `nearest` says for which loads another model or device stands in. Raises `BadInput` for a device
    whose memory bandwidth or link is not known.
    """
    stood_in = nearest or [False] * len(loads)
    return [_one(load, stands_in=near) for load, near in zip(loads, stood_in, strict=True)]


def latencies(served: Served) -> tuple[Array, Array, str]:
    """(seconds to the first token, seconds between tokens, tier) for all sizes of a load."""
    found = features(served)
    columns = Columns.of([found])
    shape = np.broadcast_shapes(*(np.shape(x) for x in (found.queued, found.decode)))
    first = ttft_with(columns, asdict(served.decode.place.law))
    return first.reshape(shape), tpot_seconds(columns).reshape(shape), found.tier


def _one(load: Served, *, stands_in: bool) -> Prediction:
    first, between, tier = latencies(load)
    tier = "nearest" if stands_in else tier
    place = load.decode.place
    return Prediction(
        _between(first.item(), place.interval(tier, load.mode, "ttft")),
        _between(between.item(), place.interval(tier, load.mode, "tpot")),
        tier,
        load.mode,
    )


def _between(middle: float, factors: tuple[float, float]) -> Between:
    return Between(middle * factors[0], middle, middle * factors[1])
