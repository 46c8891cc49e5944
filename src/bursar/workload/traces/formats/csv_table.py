"""Reads the columns of a CSV file, and says which line is wrong."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from bursar.errors import BadInput
from bursar.workload.traces.columns import Labels
from bursar.workload.traces.formats.source import Source
from bursar.workload.traces.formats.table import Table
from bursar.workload.traces.rules import REMEDY, Floats


@dataclass(frozen=True, slots=True)
class CsvTable(Table):
    """Columns as text; row 0 stands on line 2."""

    path: Path
    frame: pl.DataFrame

    def place(self, row: int) -> str:
        return f"{self.path}:{row + 2}"

    def has(self, name: str) -> bool:
        return name in self.frame.columns

    def numbers(self, name: str, *, may_miss: bool = False) -> Floats:
        text = self.frame[name].str.strip_chars()
        values = text.cast(pl.Float64, strict=False)
        unread = values.is_null()
        self.refuse(name, unread & text.is_not_null() if may_miss else unread)
        return values.fill_null(np.nan).to_numpy()

    def labels(self, name: str) -> Labels | None:
        """A column of names, "" where one is missing; None when the file lacks the column."""
        return Labels.of(self.frame[name].fill_null("")) if self.has(name) else None

    def refuse(self, name: str, bad: pl.Series) -> None:
        """Raises `BadInput` for the first row that is flagged in `bad`."""
        if not bad.any():
            return
        row = int(bad.arg_true()[0])
        text = self.frame[name][row]
        said = f"{name} is missing" if text is None else f"{name} {text!r} can't be read"
        half = "; was the last line written only half?" if row == len(bad) - 1 else ""
        raise BadInput(f"{self.place(row)}: {said}; {REMEDY}{half}")


def read_csv(source: Source, needed: Sequence[str], optional: Sequence[str] = ()) -> CsvTable:
    """The `needed` columns of a CSV file, and those of `optional` that it has.

    Raises `BadInput` on a line with too many fields, an open quote, or no request at all.
    """
    columns = [*needed, *(name for name in optional if name in source.fields)]
    try:
        frame = pl.read_csv(source.path, columns=columns, infer_schema=False)
    except pl.exceptions.PolarsError:
        raise BadInput(_what_is_wrong(source.path)) from None
    # An empty line is a row of nulls: at the end it is nothing, further up a request is missing.
    filled = frame.select(~pl.all_horizontal(pl.all().is_null())).to_series().arg_true()
    if not len(filled):
        raise BadInput(f"{source.path}: a header and no request; it must hold at least one")
    return CsvTable(source.path, frame.head(filled[-1] + 1))


def _what_is_wrong(path: Path) -> str:
    """Why the fast parser, which names no line, refused the file."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, strict=True)
        try:
            width = len(next(lines))
            for fields in lines:
                if len(fields) > width:
                    said = f"{len(fields)} fields, the header names {width}"
                    return f"{path}:{lines.line_num}: {said}; {REMEDY}"
        except csv.Error as error:
            return f"{path}:{lines.line_num}: {error}; was it written only half?"
        except UnicodeDecodeError:
            return f"{path}: not UTF-8 text; convert it"
    return f"{path}: not a readable CSV file; write it anew"
