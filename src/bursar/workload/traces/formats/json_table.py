"""Gathers JSON objects into columns, and says which object is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bursar.errors import BadInput
from bursar.workload.traces.formats.table import Table
from bursar.workload.traces.rules import REMEDY, Floats

LARGEST = 1e300
"""JSON knows integers of any length; a float does not."""


@dataclass(frozen=True, slots=True)
class JsonTable(Table):
    """Columns as JSON values. `where` is each row's line or number, which `place_of` words."""

    columns: Mapping[str, Sequence[Any]]
    where: Sequence[int]
    place_of: Callable[[int], str]

    def place(self, row: int) -> str:
        return self.place_of(self.where[row])

    def has(self, name: str) -> bool:
        """Whether any row has it."""
        return any(value is not None for value in self.columns[name])

    def numbers(self, name: str, *, may_miss: bool = False) -> Floats:
        values = self.columns[name]
        for row, value in enumerate(values):
            if type(value) in (int, float) and not abs(value) > LARGEST:
                continue
            if value is not None:
                said = f"{name} is {str(value)[:40]!r}, must be a finite number"
                raise BadInput(f"{self.place(row)}: {said}; {REMEDY}")
            if not may_miss:
                raise BadInput(f"{self.place(row)}: {name} is missing; {REMEDY}")
        return np.array(values, dtype=np.float64)


def gather(
    rows: Iterable[tuple[int, Mapping[str, Any]]],
    names: Sequence[str],
    place_of: Callable[[int], str],
) -> JsonTable:
    """The values called `names` in numbered objects, None where an object lacks one."""
    where: list[int] = []
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for number, row in rows:
        where.append(number)
        for name, column in columns.items():
            column.append(row.get(name))
    return JsonTable(columns, where, place_of)


def dig(value: Any, *keys: str) -> Any:
    """`value[key][key]...`; None where anything on the way is not an object or lacks the key."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
