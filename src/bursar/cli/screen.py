"""What the command line shows: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from bursar.reason.base import Round

out, err = Console(), Console(stderr=True)

AsJson = Annotated[
    bool, typer.Option("--json", help="the last line of stdout is one JSON document")
]


def screen(as_json: bool) -> Console:
    """Where what is for people goes: with --json stdout belongs to the document."""
    return err if as_json else out


def emit(data: Any) -> None:
    """The JSON document, one line."""
    print(json.dumps(data, allow_nan=False), flush=True)


def fail(message: str, code: int) -> NoReturn:
    """One message on stderr, on one line, then exit."""
    said = Text.assemble(("error:", "bold red"), " ", " ".join(message.split()))
    err.print(said, soft_wrap=True)
    sys.exit(code)


def split(text: str, at: str = ",") -> list[str]:
    """An option of several values, joined by commas (or `at`)."""
    return [part.strip() for part in text.split(at) if part.strip()]


def split_models(text: str) -> list[str]:
    """Models joined by commas; "key=number" belongs to the simulated model before it."""
    names: list[str] = []
    for part in split(text):
        if names and names[-1].startswith("simulated") and re.match(r"\w+\s*=", part):
            names[-1] += f",{part}"
        else:
            names.append(part)
    return list(dict.fromkeys(names))


def command() -> str:
    """What was typed."""
    return shlex.join(["bursar", *sys.argv[1:]])


def plain_table(title: str, heads: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    """A table of text."""
    table = Table(title=Text(title), title_justify="left")
    for i, head in enumerate(heads):
        # names stay in one piece as far as they can, whatever else is in the row
        least = min(26, max((len(line[0]) for line in lines), default=0)) if i == 0 else None
        table.add_column(head, overflow="fold", min_width=least)
    for line in lines:
        table.add_row(*(Text(cell) for cell in line))
    return table


@contextmanager
def bar(what: str) -> Iterator[Callable[[float, str], None]]:
    """A progress bar on stderr: call with the share done and a few words."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}% {task.fields[says]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task: TaskID = progress.add_task(what, total=1.0, says="")

        def show(share: float, says: str) -> None:
            progress.update(task, completed=min(1.0, share), says=says)

        yield show


@contextmanager
def spending() -> Iterator[Callable[[float, Round], None]]:
    """Progress of a run by the share of its limit that is spent."""
    with bar("spending") as show:

        def note(share: float, now: Round) -> None:
            believed = sum(p.p_right or 0.0 for p in now.picks)
            show(share, f"of the limit; {believed:.0f} of {len(now.picks)} believed right")

        yield note


@contextmanager
def counting(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Progress by counted parts."""
    with bar(what) as show:
        yield lambda done, total: show(done / total, f"{done} of {total} {unit}")
