"""Hosted API prices and the carbon of grids."""

from functools import cache
from typing import Annotated

from pydantic import Field

from bursar.catalog.entry import Entry, Positive, find, read_table

Price = Annotated[float, Field(ge=0)]


class ApiPrice(Entry):
    """List price of a hosted model, USD per million tokens; None where not offered or not known."""

    provider: str
    serves: str | None = None
    """The model of the catalogue with these weights' shape; None where they are not public."""
    usd_per_mtok_in: Price
    usd_per_mtok_out: Price
    usd_per_mtok_cached: Price | None = None
    up_to_tokens_in: Positive | None = None
    """Longest prompt for which these prices hold; None = no limit."""


class Grid(Entry):
    """An electricity grid: grams of CO2-equivalent per kWh, mean of the year in `date`."""

    country: str
    grams_co2e_per_kwh: Positive


@cache
def api_prices() -> dict[str, ApiPrice]:
    """All hosted prices by model name."""
    return read_table("prices.toml", ApiPrice)


@cache
def grids() -> dict[str, Grid]:
    """All grids by ISO country code, and `world`."""
    table = read_table("grids.toml", Grid)
    return {code: _also_by_country(entry) for code, entry in table.items()}


def _also_by_country(entry: Grid) -> Grid:
    if entry.country.lower() == entry.name:
        return entry
    return entry.model_copy(update={"aliases": (*entry.aliases, entry.country)})


def api_price(model: str) -> ApiPrice:
    """The hosted price of `model`; `BadInput` with close matches if there is none."""
    return find("price", api_prices(), model)


def grid(country: str) -> Grid:
    """The grid of a country by ISO code or English name; `BadInput` with close matches if none."""
    return find("grid", grids(), country)
