"""The catalogue as plain rows: all of it for JSON, the main columns for people."""

from collections.abc import Callable, Mapping
from typing import Any

from bursar.catalog.devices import Device, devices
from bursar.catalog.entry import Entry, find
from bursar.catalog.models import ModelEntry, models
from bursar.catalog.prices import ApiPrice, Grid, api_prices, grids
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
    return [_row(entry) for entry in _chosen(table, name)]


def summary(table: str) -> tuple[list[str], list[list[str]]]:
    """(column heads with units, one line of cells per entry) for a screen; "-" = not known."""
    columns = [_COLUMNS[type(entry)](entry) for entry in _chosen(table, None)]
    lines = [[_cell(value) for value in line.values()] for line in columns]
    return list(columns[0]), lines


def _chosen(table: str, name: str | None) -> list[Entry]:
    if table not in TABLES:
        raise BadInput(f"unknown table {table!r}; use one of {', '.join(TABLES)}")
    entries = TABLES[table]()
    return list(entries.values()) if name is None else [find(table.rstrip("s"), entries, name)]


def _row(entry: Entry) -> dict[str, Any]:
    row = entry.row()
    if not isinstance(entry, ModelEntry):
        return row
    spec = entry.spec
    del row["config"]
    derived = {
        "parameters": spec.parameters,
        "active_parameters": spec.active_parameters,
        "layers": spec.layers,
        "kv_bytes_per_token": spec.kv_bytes_per_token(),
    }
    return {"name": row.pop("name"), **derived, **row}


def _device_columns(entry: Device) -> dict[str, object]:
    wide = max((entry.peak_flops.get(k, 0.0) for k in ("bf16", "fp16")), default=0.0)
    return {
        "name": entry.name,
        "kind": entry.kind,
        "GiB": _scaled(entry.memory_bytes, 2**30),
        "GB/s": _scaled(entry.memory_bytes_per_second, 1e9),
        "TFLOP/s 16-bit": _scaled(wide or None, 1e12),
        "link GB/s": _scaled(entry.link_bytes_per_second, 1e9),
        "W": entry.tdp_watts,
        "USD/h": entry.usd_per_hour,
    }


def _model_columns(entry: ModelEntry) -> dict[str, object]:
    spec = entry.spec
    return {
        "name": entry.name,
        "weights, G": spec.parameters / 1e9,
        "a token uses, G": spec.active_parameters / 1e9,
        "layers": spec.layers,
        "cache a token, KiB": spec.kv_bytes_per_token() / 1024,
        "date": entry.date,
    }


def _price_columns(entry: ApiPrice) -> dict[str, object]:
    return {
        "name": entry.name,
        "provider": entry.provider,
        "USD/M in": entry.usd_per_mtok_in,
        "USD/M cached": entry.usd_per_mtok_cached,
        "USD/M out": entry.usd_per_mtok_out,
        "date": entry.date,
    }


def _grid_columns(entry: Grid) -> dict[str, object]:
    return {
        "name": entry.name,
        "country": entry.country,
        "gCO2e/kWh": entry.grams_co2e_per_kwh,
        "date": entry.date,
    }


_COLUMNS: dict[type[Entry], Callable[[Any], dict[str, object]]] = {
    Device: _device_columns,
    ModelEntry: _model_columns,
    ApiPrice: _price_columns,
    Grid: _grid_columns,
}


def _scaled(amount: float | None, unit: float) -> float | None:
    return None if amount is None else amount / unit


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if value < 1e4 else f"{value:.0f}"
    return str(value)
