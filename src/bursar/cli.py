"""The command line: thin. Results on stdout, progress and errors on stderr.

Exit codes: 0 done, 1 the request can't be met, 2 bad input, 3 an upstream failed.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bursar import run
from bursar.errors import BursarError
from bursar.reason import STRATEGIES
from bursar.reason.base import Round
from bursar.report.html import write_page
from bursar.report.record import load_record
from bursar.report.tables import compare_tables, solve_tables

app = typer.Typer(
    help="Spend compute well: a limit in, a plan, the spending, never over, a receipt.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
RUNS = Path("runs")
out, err = Console(), Console(stderr=True)

Sources = Annotated[
    list[str], typer.Argument(help="chain, countdown, sudoku4, mixed (all three), or FILE.jsonl")
]
Models = Annotated[str, typer.Option("--model", help="one model, or several joined by commas")]
AsJson = Annotated[bool, typer.Option("--json", help="the last line of stdout is one JSON document")]
Questions = Annotated[int, typer.Option(help="how many questions of the built-in tasks")]
Seed = Annotated[int, typer.Option(help="same seed, same questions and draws")]
Levels = Annotated[str, typer.Option(help="only these levels, joined by commas")]
Checker = Annotated[str, typer.Option(help="for files: exact, numeric, choice or regex")]
NoCheck = Annotated[
    bool, typer.Option("--no-checker", help="do not let the strategy ask the exact checker")
]
Profile = Annotated[Path | None, typer.Option(help="what `bursar calibrate` learned")]
Temperature = Annotated[float, typer.Option(help="of samples; the first answer is greedy")]


def main() -> None:
    """Entry point: bursar's own errors become one message and their exit code."""
    try:
        app(standalone_mode=False)
    except BursarError as error:
        fail(str(error), error.exit_code)
    except typer.Abort:
        fail("stopped", 130)
    except KeyboardInterrupt:
        fail("stopped; what was spent is in the ledger", 130)
    except Exception as error:
        if not hasattr(error, "format_message"):  # click's own complaints about the arguments
            raise
        fail(error.format_message(), 2)


def fail(message: str, code: int) -> None:
    """One message on stderr, then exit."""
    err.print(f"[bold red]error:[/] {_plain(message)}", soft_wrap=True)
    sys.exit(code)


@app.command()
def solve(
    sources: Sources,
    budget: Annotated[str, typer.Option(help='such as "20k tokens" or "0.5 USD"')],
    model: Models = "tiny-1m",
    strategy: Annotated[str, typer.Option(help=", ".join(STRATEGIES))] = "auto",
    questions: Questions = 100,
    levels: Levels = "",
    seed: Seed = 0,
    temperature: Temperature = 0.7,
    checker: Checker = "exact",
    no_checker: NoCheck = False,
    worth: Annotated[
        float | None, typer.Option(help="what a right answer is worth, in the limited resource")
    ] = None,
    profile: Profile = None,
    baseline: Annotated[
        str | None, typer.Option(help="also run this strategy, under an equal limit of its own")
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="a ledger to book in; default: one in the run folder")
    ] = None,
    runs: Annotated[Path, typer.Option(help="where run folders go")] = RUNS,
    as_json: AsJson = False,
) -> None:
    """Spend a budget on questions where it buys the most right answers."""
    job = _job(sources, model, questions, levels, seed, temperature, checker, no_checker)
    job = run.replace(job, worth=worth, profile=profile)
    folder = run.run_dir(runs, job)
    with _spending() as show:
        record, failure = run.run_solve(
            job,
            budget,
            strategy,
            folder,
            ledger=ledger,
            baseline=baseline,
            command=_command(),
            on_progress=show,
        )
    page = write_page(record, folder / "report.html")
    screen = err if as_json else out
    for table in solve_tables(record):
        screen.print(table)
    screen.print(f"report: {page}", soft_wrap=True)
    if as_json:
        print(run.dump(run.summary(record, folder)))
    if failure:
        raise failure


@app.command()
def compare(
    sources: Sources,
    budgets: Annotated[str, typer.Option(help='joined by commas: "10k tokens, 40k tokens"')],
    strategies: Annotated[str, typer.Option(help="joined by commas")] = ",".join(STRATEGIES),
    model: Models = "tiny-1m",
    questions: Questions = 100,
    levels: Levels = "",
    seed: Seed = 0,
    seeds: Annotated[int, typer.Option(help="how many seeds, from --seed on")] = 3,
    temperature: Temperature = 0.7,
    checker: Checker = "exact",
    no_checker: NoCheck = False,
    profile: Profile = None,
    runs: Annotated[Path, typer.Option(help="where run folders go")] = RUNS,
    as_json: AsJson = False,
) -> None:
    """Strategies at equal budgets, on the same questions and draws, with intervals."""
    job = _job(sources, model, questions, levels, seed, temperature, checker, no_checker)
    job = run.replace(job, profile=profile)
    names = _split(strategies)
    with _counting("comparing") as show:
        record, _ = run.run_compare(
            job,
            names,
            _split(budgets),
            range(seed, seed + seeds),
            command=_command(),
            on_progress=show,
        )
    folder = run.run_dir(runs, job, "compare")
    run.write(record, folder)
    page = write_page(record, folder / "report.html")
    screen = err if as_json else out
    for table in compare_tables(record):
        screen.print(table)
    screen.print(f"report: {page}", soft_wrap=True)
    if as_json:
        print(run.dump({"rows": [r.model_dump() for r in record.rows], "run_dir": str(folder)}))


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="a run folder, or its run.json")],
    as_json: AsJson = False,
) -> None:
    """Write a run's HTML report again."""
    record = load_record(folder)
    page = write_page(record, (folder if folder.is_dir() else folder.parent) / "report.html")
    (err if as_json else out).print(f"report: {page}", soft_wrap=True)
    if as_json:
        print(run.dump({"report": str(page)}))


def _job(
    sources: list[str],
    model: str,
    questions: int,
    levels: str,
    seed: int,
    temperature: float,
    checker: str,
    no_checker: bool,
) -> run.Job:
    return run.Job(
        sources=tuple(sources),
        models=tuple(_split(model)),
        questions=questions,
        levels=tuple(_split(levels)),
        seed=seed,
        temperature=temperature,
        checker=checker,
        check=not no_checker,
    )


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _command() -> str:
    return shlex.join(["bursar", *sys.argv[1:]])


def _plain(text: str) -> str:
    return text.replace("[", "\\[")


@contextmanager
def _bar(what: str) -> Iterator[tuple[Progress, TaskID]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}% {task.fields[says]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        yield progress, progress.add_task(what, total=1.0, says="")


@contextmanager
def _spending() -> Iterator[Callable[[float, Round], None]]:
    with _bar("spending") as (progress, task):

        def show(share: float, now: Round) -> None:
            believed = sum(p.p_right or 0.0 for p in now.picks)
            says = f"of the limit, {believed:.0f} of {len(now.picks)} believed right"
            progress.update(task, completed=share, says=says)

        yield show


@contextmanager
def _counting(what: str) -> Iterator[Callable[[int, int], None]]:
    with _bar(what) as (progress, task):

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done / total, says=f"{done} of {total} runs")

        yield show


