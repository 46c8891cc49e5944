"""Exports: requests, or their sums by hour or day, as CSV or Parquet, a piece at a time."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Boolean, Float, String, Table, select
from sqlalchemy.engine import Engine

from bursar.gateway.seen.frame import Frame
from bursar.gateway.seen.tables import DAYS, HOURS, REQUESTS, known_teams
from bursar.ledger.schema import reading

WHAT: dict[str, Table] = {"requests": REQUESTS, "hours": HOURS, "days": DAYS}
FORMATS = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}

_AT_ONCE = 20_000


def csv_pieces(engine: Engine, frame: Frame, what: str) -> Iterator[bytes]:
    """The rows in view as CSV, with a head.

    Text that a spreadsheet would take for a formula begins with an apostrophe: clients write some.
    """
    yield (",".join(_schema(WHAT[what])) + "\n").encode()
    formula = pl.col(pl.String).str.contains(r"^[=+\-@\t\r]")
    guarded = pl.when(formula).then("'" + pl.col(pl.String)).otherwise(pl.col(pl.String))
    for table in _pieces(engine, frame, what):
        yield table.with_columns(guarded.name.keep()).write_csv(include_header=False).encode()


def parquet_file(engine: Engine, frame: Frame, what: str) -> Path:
    """The rows in view as a Parquet file in a temporary folder of its own: the caller's to remove.

    Pieces go to disk first, so that memory holds one of them at a time.
    """
    folder = Path(tempfile.mkdtemp(prefix="bursar-export-"))
    try:
        pl.DataFrame(schema=_schema(WHAT[what])).write_parquet(folder / "0.part")
        for number, table in enumerate(_pieces(engine, frame, what), start=1):
            table.write_parquet(folder / f"{number:06}.part")
        whole = folder / f"{what}.parquet"
        pl.scan_parquet(sorted(folder.glob("*.part"))).sink_parquet(whole)
    except BaseException:
        shutil.rmtree(folder)
        raise
    return whole


def _pieces(engine: Engine, frame: Frame, what: str) -> Iterator[pl.DataFrame]:
    schema = _schema(WHAT[what])
    with reading(engine).begin() as connection:
        teams = frame.teams(known_teams(connection))
    for team in teams:
        for rows in _rows(engine, frame, what, team):
            yield pl.DataFrame([tuple(row) for row in rows], schema=schema, orient="row")


def _rows(engine: Engine, frame: Frame, what: str, team: str) -> Iterator[Sequence[Any]]:
    """Those of one team, oldest first. A transaction for each piece: none stays open for long."""
    table, of = WHAT[what], WHAT[what].c
    if what == "requests":
        where = [of.team == team, of.hour >= frame.starts[0], *frame.requests()]
        order = [of.id]
    else:
        where = [of.team == team, of.start >= frame.starts[0]]
        if frame.is_key:
            where.append(of.key == frame.root)
        if frame.model:
            where.append(of.model == frame.model)
        order = [of.start, of.level, of.key, of.model, of.strategy, of.outcome]
    query = select(table).where(*where).order_by(*order).limit(_AT_ONCE)
    done = 0
    while True:
        # Requests are gone on from by number; sums are few, and skipping some costs little.
        piece = query.where(of.id > done) if what == "requests" else query.offset(done)
        with reading(engine).begin() as connection:
            rows = connection.execute(piece).all()
        if not rows:
            return
        yield rows
        done = rows[-1].id if what == "requests" else done + len(rows)


def _schema(table: Table) -> dict[str, Any]:
    kinds = {Boolean: pl.Boolean, Float: pl.Float64, String: pl.String}
    return {
        column.name: next((t for k, t in kinds.items() if isinstance(column.type, k)), pl.Int64)
        for column in table.columns
    }
