"""Commands that look things up: cost, catalog, methods, ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bursar.catalog.tables import TABLES, rows
from bursar.cli.screen import AsJson, emit, plain_table, screen
from bursar.cost.calibration import calibration as read_calibration
from bursar.cost.quote import quote_api, quote_device
from bursar.errors import BadInput
from bursar.ledger import Ledger
from bursar.methods import methods_table
from bursar.report.format import LATENCIES, short
from bursar.run.serving import as_path
from bursar.units import RESOURCES, format_amount

ledgers = typer.Typer(help="Look into a ledger: verify, show, totals.", no_args_is_help=True)
LedgerPlace = Annotated[str, typer.Argument(help="a ledger file, or a postgresql:// address")]


def cost(
    model: Annotated[str, typer.Option(help="a catalogue name, or a config.json")] = "",
    device: Annotated[str, typer.Option(help="a device of the catalogue")] = "",
    api: Annotated[str, typer.Option(help="a hosted model of the catalogue instead")] = "",
    tokens_in: Annotated[int, typer.Option("--input", help="prompt tokens")] = 1000,
    tokens_out: Annotated[int, typer.Option("--output", help="generated tokens")] = 300,
    cached: Annotated[int, typer.Option(help="prompt tokens already in the cache")] = 0,
    batch: Annotated[int, typer.Option(help="requests run together")] = 1,
    tp: Annotated[int, typer.Option(help="tensor parallel devices")] = 1,
    pp: Annotated[int, typer.Option(help="pipeline stages")] = 1,
    dtype: Annotated[str, typer.Option(help="of the weights")] = "bf16",
    kv_dtype: Annotated[str, typer.Option(help="of keys and values")] = "bf16",
    dp: Annotated[int, typer.Option(help="data parallel groups, experts spread over all")] = 1,
    engine: Annotated[str, typer.Option(help='such as "sglang" or "vllm 0.12.0"')] = "vllm",
    tables: Annotated[str, typer.Option(help="a folder of measured operator tables")] = "",
    calibration: Annotated[str, typer.Option(help="of `bursar calibrate --serving`")] = "",
    grid: Annotated[str | None, typer.Option(help="a country, for grams of CO2e")] = None,
    as_json: AsJson = False,
) -> None:
    """What one request costs on a device, or at a hosted model's price."""
    if bool(api) == bool(model and device):
        raise BadInput("give --model and --device, or --api alone")
    if api:
        quote = quote_api(api, tokens_in=tokens_in, tokens_out=tokens_out, cached_in=cached)
    else:
        quote = quote_device(
            model,
            device,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            batch=batch,
            cached_in=cached,
            tp=tp,
            pp=pp,
            dp=dp,
            dtype=dtype,
            kv_dtype=kv_dtype,
            country=grid,
            engine=engine,
            known=read_calibration(as_path(tables), as_path(calibration)),
        )
    lines = [
        [name, *(format_amount(name, quote[part][name]) for part in ("usage", "low", "high"))]
        for name in RESOURCES
        if quote["usage"][name] is not None
    ]
    lines += [
        [says, *(format_amount("seconds", x) for x in (quote[name], *quote["intervals"][name]))]
        for name, says in LATENCIES.items()
        if quote.get(name) is not None and name in quote["intervals"]
    ]
    title = f"{quote['model']}, {tokens_in} + {tokens_out} tokens, tier: {quote['tier']}"
    screen(as_json).print(plain_table(title, ["resource", "expected", "low", "high"], lines))
    if as_json:
        emit(quote)


COLUMNS = {
    "devices": {
        "name": "name",
        "memory_bytes": "memory, bytes",
        "memory_bytes_per_second": "bytes/s",
        "tdp_watts": "W",
        "usd_per_hour": "USD/h",
        "date": "date",
    },
    "models": {
        "name": "name",
        "parameters": "parameters",
        "active_parameters": "active",
        "layers": "layers",
        "kv_bytes_per_token": "cache, bytes/token",
    },
    "prices": {
        "name": "name",
        "provider": "provider",
        "usd_per_mtok_in": "USD/Mtok in",
        "usd_per_mtok_out": "out",
        "date": "date",
    },
    "grids": {
        "name": "name",
        "country": "country",
        "grams_co2e_per_kwh": "gCO2e/kWh",
        "date": "date",
    },
}
"""What a list of a table shows, field by field, under which heads; one entry shows all."""


def catalog(
    table: Annotated[str, typer.Argument(help=", ".join(TABLES))],
    name: Annotated[str | None, typer.Argument(help="one entry, in full")] = None,
    as_json: AsJson = False,
) -> None:
    """Devices, models, hosted prices and grids: every number with source and date."""
    found = rows(table, name)
    if name is None:
        columns = COLUMNS[table]
        lines = [[_cell(row.get(field)) for field in columns] for row in found]
        shown = plain_table(f"{len(found)} {table}", list(columns.values()), lines)
        shown.caption = f"one in full, with sources: bursar catalog {table} {found[-1]['name']}"
        screen(as_json).print(shown)
    else:
        pairs = [[field, _cell(value)] for field, value in found[0].items()]
        screen(as_json).print(plain_table(str(found[0]["name"]), ["field", "value"], pairs))
    if as_json:
        emit({table: found})


def methods(as_json: AsJson = False) -> None:
    """The published methods that are built in, each with its paper and the test of its claim."""
    found = methods_table()
    lines = [
        [str(m["name"]), str(m["package"]), str(m["arxiv"] or "-"), _in_tests(m)]
        for m in found["methods"]
    ]
    heads = ["method", "package", "arXiv", "claim tested in tests/"]
    screen(as_json).print(plain_table(f"{len(lines)} methods", heads, lines))
    if as_json:
        emit(found)


@ledgers.command()
def verify(place: LedgerPlace, as_json: AsJson = False) -> None:
    """Recompute every hash and total; says which row was edited."""
    with _open(place) as ledger:
        good = ledger.verify()
    says = f"{place}: {good.entries} entries hold together; head {good.head}"
    screen(as_json).print(says, soft_wrap=True)
    if as_json:
        emit({"ledger": place, "entries": good.entries, "head": good.head})


@ledgers.command()
def totals(place: LedgerPlace, as_json: AsJson = False) -> None:
    """Every account: its limits, what is spent and what is held, and so for each window."""
    with _open(place) as ledger:
        accounts = ledger.accounts()
    lines: list[list[str]] = []
    for a in accounts:
        totals = (a.limits, a.spent.known(), a.held.known())
        lines.append([a.path, *map(_amounts, totals)])
        for w in a.windows:
            limit, spent, held = (format_amount(w.resource, x) for x in (w.limit, w.spent, w.held))
            lines.append(["", f"{limit} per {w.window}", spent, held])
    screen(as_json).print(plain_table(place, ["account", "limit", "spent", "held"], lines))
    if as_json:
        emit({"accounts": [_plain(a) for a in accounts]})


@ledgers.command()
def show(
    place: LedgerPlace,
    account: Annotated[str | None, typer.Option(help="only what charged this account")] = None,
    last: Annotated[int, typer.Option(min=1, help="how many entries, from the end")] = 20,
    as_json: AsJson = False,
) -> None:
    """The journal's last entries."""
    with _open(place) as ledger:
        entries = ledger.entries(account)[-last:]
    lines = [
        [str(e.seq), e.kind, e.account, e.what, _amounts(e.usage.known()), e.hash[:12]]
        for e in entries
    ]
    heads = ["entry", "kind", "account", "what", "amount", "hash"]
    screen(as_json).print(plain_table(place, heads, lines))
    if as_json:
        emit({"entries": [_plain(e) for e in entries]})


def _open(place: str) -> Ledger:
    if "://" not in place and not Path(place).is_file():
        raise BadInput(f"no ledger at {place}; a run leaves one in its folder, ledger.sqlite")
    return Ledger(place)


def _amounts(amounts: Any) -> str:
    shown = [format_amount(name, x) for name, x in amounts.items() if x]
    return ", ".join(shown) or "-"


def _in_tests(method: Mapping[str, Any]) -> str:
    return str(method["claim_test"] or "-").removeprefix("tests/")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float | dict | list):
        return str(value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_cell(part)}" for key, part in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(_cell, value)) or "-"
    return short(value)


def _plain(record: Any) -> dict[str, Any]:
    return asdict(record)
