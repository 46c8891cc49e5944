"""The catalogue as plain rows, for a table or JSON."""

from collections.abc import Callable, Mapping
from typing import Any

from bursar.catalog.devices import devices
from bursar.catalog.entry import Entry, find
from bursar.catalog.models import ModelEntry, models
from bursar.catalog.prices import api_prices, grids
from bursar.errors import BadInput

TABLES: dict[str, Callable[[], Mapping[str, Entry]]] = {
    "devices": devices,
    "models": models,
    "prices": api_prices,
    "grids": grids,
}
"""What the catalogue holds."""


def rows(table: str, name: str | None = None) -> list[dict[str, Any]]:
    """All entries of one of `TABLES` in file order, or the one called `name`, as plain data.

    A model's row has its derived counts instead of its config. Raises `BadInput`.
    """
    if table not in TABLES:
        raise BadInput(f"unknown table {table!r}; use one of {', '.join(TABLES)}")
    entries = TABLES[table]()
    chosen = entries.values() if name is None else [find(table.rstrip("s"), entries, name)]
    return [_row(entry) for entry in chosen]


def _row(entry: Entry) -> dict[str, Any]:
    row = entry.row()
    if isinstance(entry, ModelEntry):
        spec = entry.spec
        row.pop("config")
        row |= {
            "parameters": spec.parameters,
            "active_parameters": spec.active_parameters,
            "layers": spec.layers,
            "kv_bytes_per_token": spec.kv_bytes_per_token(),
        }
    return row
