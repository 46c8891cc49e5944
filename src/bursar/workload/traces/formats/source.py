"""A file whose format is not yet known: its place, and the names its first record has."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bursar.errors import BadInput

HEAD_BYTES = 1 << 16
"""Enough for the header of any CSV file; a JSON file is read whole."""


@dataclass(frozen=True, slots=True)
class Source:
    """An opened file.

    fields   the columns of a CSV file, or the keys of the first JSON object
    first    the first JSON value: the file's first line, or all of the file when `single`; None
             for CSV
    lines    the lines of a JSON file that is not `single`
    """

    path: Path
    fields: frozenset[str]
    first: Any = None
    single: bool = True
    lines: tuple[str, ...] = ()

    def document(self) -> Any:
        """The JSON value that the file is. Raises `BadInput` when it is several, line by line."""
        if not self.single:
            raise BadInput(
                f"{self.path}: several JSON documents in one file; give each result its own file"
            )
        return self.first

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Number and object of each line, from 1; of each element when the file is one array.

        Raises `BadInput`, with the line, at what is not a JSON object.
        """
        for number, row in self._values():
            if not isinstance(row, dict):
                raise BadInput(f"{self.place(number)}: {str(row)[:40]!r} must be a JSON object")
            yield number, row

    def _values(self) -> Iterator[tuple[int, Any]]:
        if self.single:
            yield from enumerate(self.first if isinstance(self.first, list) else [self.first], 1)
        else:
            for number, line in enumerate(self.lines, start=1):
                if line.strip():
                    yield number, _parsed(line, self.place(number))

    def place(self, number: int) -> str:
        """Where the row with this number stands."""
        return f"{self.path}: request {number}" if self.single else f"{self.path}:{number}"


def open_source(path: str | Path) -> Source:
    """The file at `path`, with what is needed to tell its format.

    Raises `BadInput` when it can't be read, is empty, is not UTF-8 text, or is broken JSON.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES).removeprefix(b"\xef\xbb\xbf")
        if not head.strip():
            raise BadInput(f"{path}: the file is empty; it must hold at least one request")
        if head.lstrip()[:1] in b"{[":
            return _json_source(path, path.read_text(encoding="utf-8-sig"))
        header = head.splitlines()[0].decode()
    except OSError as error:
        raise BadInput(f"{path}: can't be read ({error.strerror}); check the path") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 text (byte {error.start}); convert it") from None
    return Source(path, frozenset(next(csv.reader([header]))))


def _json_source(path: Path, text: str) -> Source:
    lines = text.split("\n")  # not splitlines: JSON text may hold other line breaks
    filled = [line for line in lines if line.strip()]
    try:
        first, single = json.loads(filled[0]), len(filled) == 1
    except (ValueError, RecursionError):  # perhaps one document over many lines
        first, single = _parsed(text, str(path)), True
    record = first[0] if isinstance(first, list) and first else first
    fields = frozenset(record) if isinstance(record, dict) else frozenset()
    return Source(path, fields, first, single, () if single else tuple(lines))


def _parsed(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{place}: not valid JSON ({error}); was it written only half?") from None
