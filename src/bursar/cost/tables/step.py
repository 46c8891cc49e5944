"""Step cost from operators: measured tables where there are any, else fitted coefficients.

The same inputs as `step_arrays`. Each operator has a tier: "table" (interpolated in a table of this
device and engine), "borrowed" (the geometric mean of other engines' tables of this device), or
"fitted" (datasheet, and coefficients from other devices). The time of a step is the sum over its
operators; what an engine adds between steps is not in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from bursar.catalog import Device
from bursar.cost.deployment import Deployment
from bursar.cost.tables.efficiency import OperatorFit, cold, fitted, group, memory_rate
from bursar.cost.tables.interpolate import Interpolator, Sizes
from bursar.cost.tables.operator import OperatorTable, peak_flops
from bursar.cost.tables.operators import Call, Engine, step_operators
from bursar.cost.work import Array, Rows
from bursar.errors import BadInput

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

    @property
    def tier(self) -> str:
        """The tier that most of the time rests on."""
        return max(self.tiers, key=lambda name: self.tiers[name])


@dataclass(frozen=True)
class OperatorCosts:
    """Prices steps on one device. `tables`: measured ones; those of other devices are passed over.

    The grids of its tables are made at the first call that needs them: keep the object.
    """

    device: Device
    engine: Engine = field(default_factory=Engine)
    tables: Sequence[OperatorTable] = ()
    _known: dict[tuple[str, str], list[Interpolator]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def step_arrays(
        self, place: Deployment, new: ArrayLike, context: ArrayLike, count: ArrayLike = 1.0
    ) -> OperatorSteps:
        """Steps of rows (`new` tokens, `context` tokens before them, `count` times).

        The three broadcast; the last axis is the rows of one step, axes before it are steps.
        Raises `BadInput` for a deployment on another device.
        """
        if place.device.name != self.device.name:
            raise BadInput(
                f"a deployment on {place.device.name}, priced for {self.device.name}; make "
                "OperatorCosts for the deployment's device"
            )
        rows = Rows.of(new, context, count)
        zero = np.zeros_like(rows.tokens)
        seconds, low, high = zero.copy(), zero.copy(), zero.copy()
        terms: dict[str, Array] = {}
        tiers: dict[str, float] = {}
        for call in step_operators(place, rows, self.engine):
            once, at_least, at_most, tier = self._once(call)
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

    def _once(self, call: Call) -> tuple[Array, Array, Array, str]:
        """Seconds of one run, their 80 % interval, and the tier."""
        fit = self._fit(call)
        tables = [] if call.work is not None else self._tables(call.kind, call.dtype)
        if call.work is not None:
            found, tier = self._bare(call, fit)[None], "fitted"
        elif tables:
            found = np.stack([table.seconds(call.shape) for table in tables])
            found = cold(self.device, call.kind, call.dtype, call.shape, found)
            tier = "table" if tables[0].table.engine == self.engine.name else "borrowed"
        else:
            found = fit.seconds(self.device, call.kind, call.dtype, call.shape)[None]
            tier = "fitted"
        if "devices" in call.shape:  # whoever chooses takes the faster implementation
            found = np.min(found, axis=0, keepdims=True)
        known = TABLE_SPREAD.get(call.kind, OTHER_SPREAD)
        low, high = (fit.low, fit.high) if tier == "fitted" else known
        middle = np.asarray(np.exp(np.mean(np.log(found), axis=0)))
        return middle, low * found.min(axis=0), high * found.max(axis=0), tier

    def _fit(self, call: Call) -> OperatorFit:
        """A mixer streams like attention that decodes, and computes as fast as a prompt's."""
        if call.kind != "mixer":
            return fitted(self.device, call.kind, call.dtype, self.engine.name)
        streams, computes = (
            fitted(self.device, kind, call.dtype, self.engine.name)
            for kind in ("generation_attention", "context_attention")
        )
        return replace(streams, compute=computes.compute)

    def _bare(self, call: Call, fit: OperatorFit) -> Array:
        assert call.work is not None
        compute = call.work.flops / peak_flops(self.device, call.kind, call.dtype)
        memory = call.work.memory_bytes / memory_rate(self.device)
        return np.asarray(fit.launch_seconds + fit.busy(compute, memory))

    def _tables(self, kind: str, dtype: str) -> list[Interpolator]:
        """This engine's table of the device if there is one, else those of all other engines."""
        if (kind, dtype) not in self._known:
            wanted = group(self.device, kind, dtype)
            fitting = [
                table
                for table in self.tables
                if (table.device, table.kind) == (self.device.name, kind)
                and group(self.device, kind, table.dtype) == wanted
            ]
            own = [table for table in fitting if table.engine == self.engine.name]
            self._known[kind, dtype] = [self._interpolator(table) for table in own or fitting]
        return self._known[kind, dtype]

    def _interpolator(self, table: OperatorTable) -> Interpolator:
        fit = fitted(self.device, table.kind, table.dtype, table.engine)

        def reference(shape: Sizes) -> Array:
            return fit.seconds(self.device, table.kind, table.dtype, shape)

        return Interpolator(table, reference)
