"""Devices, models, prices and grids: data in TOML, each number with its source and date."""

from bursar.catalog.devices import DTYPE_BYTES, Device, device, devices, dtype_bytes
from bursar.catalog.models import (
    Attention,
    Experts,
    LatentAttention,
    Mlp,
    ModelEntry,
    ModelSpec,
    Recurrent,
    model,
    models,
)
from bursar.catalog.prices import ApiPrice, Grid, api_price, api_prices, grid, grids
from bursar.catalog.tables import TABLES, rows, summary

__all__ = [
    "DTYPE_BYTES",
    "TABLES",
    "ApiPrice",
    "Attention",
    "Device",
    "Experts",
    "Grid",
    "LatentAttention",
    "Mlp",
    "ModelEntry",
    "ModelSpec",
    "Recurrent",
    "api_price",
    "api_prices",
    "device",
    "devices",
    "dtype_bytes",
    "grid",
    "grids",
    "model",
    "models",
    "rows",
    "summary",
]
