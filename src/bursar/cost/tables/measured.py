"""`MeasuredTables`: which tables price an operator, each made into an interpolator once."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bursar.catalog import Device
from bursar.cost.tables.efficiency import fitted, group
from bursar.cost.tables.interpolate import Interpolator, Sizes
from bursar.cost.tables.operator import OperatorTable
from bursar.cost.work import Array


@dataclass(frozen=True, eq=False)
class MeasuredTables:
    """Tables of any devices and engines. Keep the object: it remembers the grids it has made."""

    all: Sequence[OperatorTable] = ()
    _known: dict[tuple[str, str | None, str, str], list[Interpolator]] = field(
        default_factory=dict, init=False, repr=False
    )

    def of(self, device: Device, engine: str | None, kind: str, dtype: str) -> list[Interpolator]:
        """This engine's table of the device if there is one, else those of all other engines."""
        key = device.name, engine, kind, dtype
        if key not in self._known:
            wanted = group(device, kind, dtype)
            fitting = [
                table
                for table in self.all
                if (table.device, table.kind) == (device.name, kind)
                and group(device, kind, table.dtype) == wanted
            ]
            own = [table for table in fitting if table.engine == engine]
            self._known[key] = [_interpolator(device, table) for table in own or fitting]
        return self._known[key]


def _interpolator(device: Device, table: OperatorTable) -> Interpolator:
    fit = fitted(device, table.kind, table.dtype, table.engine)

    def reference(shape: Sizes) -> Array:
        return fit.seconds(device, table.kind, table.dtype, shape)

    return Interpolator(table, reference)
