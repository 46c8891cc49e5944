"""Step cost from operators: measured tables where there are any, else fitted coefficients.

Each operator has a tier: "table" (interpolated in a table of this
device and engine), "borrowed" (the geometric mean of other engines' tables of this device), or
"fitted" (datasheet, and coefficients from other devices). The time of a step is the sum over its
operators; what an engine adds between steps is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bursar.cost.tables.efficiency import OperatorFit, cold, fitted, memory_rate
from bursar.cost.tables.operator import peak_flops
from bursar.cost.tables.operators import Call, step_operators
from bursar.cost.work import Array, Rows

if TYPE_CHECKING:  # a deployment holds tables, so it can't be imported by them
    from bursar.cost.deployment import Deployment

TABLE_SPREAD = {
    "gemm": (0.92, 1.09),
    "context_attention": (0.93, 1.07),
    "generation_attention": (0.87, 1.16),
    "moe": (0.92, 1.10),
}
"""80 % intervals of measured over interpolated seconds, on rows left out of tables of five devices
(`benchmarks/operator_tables.py`)."""

OTHER_SPREAD = (0.84, 1.26)
"""The same for collectives; taken for kinds with too few tables too."""


@dataclass(frozen=True, slots=True)
class OperatorSteps:
    """Seconds of one or many steps, arrays of one shape, with an 80 % interval.

    `terms` splits the seconds by operator group, `tiers` says which share of the seconds each tier
    stands for. `low` and `high` add up the operators' bounds, as if all erred together.
    """

    seconds: Array
    low: Array
    high: Array
    terms: dict[str, Array]
    tiers: dict[str, float]


def operator_steps(place: Deployment, rows: Rows) -> OperatorSteps:
    """Steps of rows; their last axis is the rows of one step, axes before it are steps."""
    zero = np.zeros_like(rows.tokens)
    seconds, low, high = zero.copy(), zero.copy(), zero.copy()
    terms: dict[str, Array] = {}
    tiers: dict[str, float] = {}
    for call in step_operators(place, rows):
        once, at_least, at_most, tier = _once(place, call)
        took = once * call.times
        seconds, low, high = (
            seconds + took,
            low + at_least * call.times,
            high + at_most * call.times,
        )
        terms[call.term] = terms.get(call.term, zero) + took
        tiers[tier] = tiers.get(tier, 0.0) + float(np.sum(took))
    whole = sum(tiers.values()) or 1.0
    return OperatorSteps(seconds, low, high, terms, {k: v / whole for k, v in tiers.items()})


def _once(place: Deployment, call: Call) -> tuple[Array, Array, Array, str]:
    """Seconds of one run, their 80 % interval, and the tier."""
    device, engine = place.device, place.engine.name
    fit = _fit(place, call)
    tables = []
    if call.work is None:
        tables = place.calibration.tables.of(device, engine, call.kind, call.dtype)
    if call.work is not None:
        found, tier = _bare(place, call, fit)[None], "fitted"
    elif tables:
        found = np.stack([table.seconds(call.shape) for table in tables])
        found = cold(device, call.kind, call.dtype, call.shape, found)
        tier = "table" if tables[0].table.engine == engine else "borrowed"
    else:
        found = fit.seconds(device, call.kind, call.dtype, call.shape)[None]
        tier = "fitted"
    if "devices" in call.shape:  # whoever chooses takes the faster implementation
        found = np.min(found, axis=0, keepdims=True)
    known = TABLE_SPREAD.get(call.kind, OTHER_SPREAD)
    low, high = (fit.low, fit.high) if tier == "fitted" else known
    middle = np.asarray(np.exp(np.mean(np.log(found), axis=0)))
    return middle, low * found.min(axis=0), high * found.max(axis=0), tier


def _fit(place: Deployment, call: Call) -> OperatorFit:
    """A mixer streams like attention that decodes, and computes as fast as a prompt's."""
    device, engine = place.device, place.engine.name
    if call.kind != "mixer":
        return fitted(device, call.kind, call.dtype, engine)
    streams, computes = (
        fitted(device, kind, call.dtype, engine)
        for kind in ("generation_attention", "context_attention")
    )
    return replace(streams, compute=computes.compute)


def _bare(place: Deployment, call: Call, fit: OperatorFit) -> Array:
    assert call.work is not None
    compute = call.work.flops / peak_flops(place.device, call.kind, call.dtype)
    memory = call.work.memory_bytes / memory_rate(place.device)
    return np.asarray(fit.launch_seconds + fit.busy(compute, memory))
