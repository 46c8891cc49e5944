"""Commands that spend: solve, compare; and report, which shows what was spent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bursar import run
from bursar.backends.effort import parse_effort
from bursar.backends.token_price import TokenPrice
from bursar.cli.screen import (
    AsJson,
    command,
    counting,
    emit,
    screen,
    spending,
    split,
    split_models,
)
from bursar.errors import BadInput
from bursar.reason import STRATEGIES
from bursar.reason.exits import EXITS
from bursar.report.html import write_page
from bursar.report.record import load_record
from bursar.report.tables import compare_tables, solve_tables

RUNS = Path("runs")

Sources = Annotated[
    list[str], typer.Argument(help="chain, countdown, sudoku4, mixed (all three), or FILE.jsonl")
]
Models = Annotated[str, typer.Option("--model", help="one model, or several joined by commas")]
Questions = Annotated[
    int | None,
    typer.Option(help=f"how many, shared by the sources; default: {run.QUESTIONS}, whole files"),
]
Seed = Annotated[int, typer.Option(help="same seed, same questions and draws")]
Levels = Annotated[str, typer.Option(help="only these levels, joined by commas")]
Checker = Annotated[str, typer.Option(help="for files: exact, numeric, choice or regex")]
NoCheck = Annotated[
    bool, typer.Option("--no-checker", help="do not let the strategy ask the exact checker")
]
ProfileFile = Annotated[Path | None, typer.Option(help="for auto: what `bursar calibrate` learned")]
Temperature = Annotated[
    float, typer.Option(help="of samples; single and auto's first try are greedy")
]
Runs = Annotated[Path, typer.Option(help="where run folders go")]
Efforts = Annotated[
    str,
    typer.Option(
        "--effort",
        help="low, medium, high, or a share such as 0.5; several joined by commas: one model each",
    ),
]
KeyFile = Annotated[
    Path | None, typer.Option(help="holds the API key, mode 600; default: OPENAI_API_KEY")
]
UsdPerMtok = Annotated[
    str, typer.Option(help='price of a hosted model, "IN,OUT" in USD per million tokens')
]


def solve(
    sources: Sources,
    budget: Annotated[str, typer.Option(help='such as "20k tokens" or "0.5 USD"')],
    model: Models = "tiny-1m",
    strategy: Annotated[str, typer.Option(help=", ".join([*STRATEGIES, *EXITS]))] = "auto",
    questions: Questions = None,
    levels: Levels = "",
    seed: Seed = 0,
    temperature: Temperature = 0.7,
    effort: Efforts = "",
    checker: Checker = "exact",
    no_checker: NoCheck = False,
    worth: Annotated[
        float | None,
        typer.Option(help="for auto: what a right answer is worth, in the limited resource"),
    ] = None,
    profile: ProfileFile = None,
    key_file: KeyFile = None,
    usd_per_mtok: UsdPerMtok = "",
    baseline: Annotated[
        str | None, typer.Option(help="also run this strategy, under an equal limit of its own")
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="a ledger to book in; default: one in the run folder")
    ] = None,
    runs: Runs = RUNS,
    as_json: AsJson = False,
) -> None:
    """Spend a budget on questions where it buys the most right answers."""
    job = job_of(
        sources,
        model,
        levels,
        questions=questions,
        seed=seed,
        temperature=temperature,
        checker=checker,
        check=not no_checker,
        worth=worth,
        profile=profile,
        efforts=tuple(parse_effort(one) for one in split(effort)),
        hosted=hosted(key_file, usd_per_mtok),
    )
    folder = run.run_dir(runs, job)
    with spending() as show:
        record, failure = run.run_solve(
            job,
            budget,
            strategy,
            folder,
            ledger=ledger,
            baseline=baseline,
            command=command(),
            on_progress=show,
        )
    show_on = screen(as_json)
    for table in solve_tables(record):
        show_on.print(table)
    say_where(folder, as_json)
    if as_json:
        emit(run.summary(record, folder))
    if failure:
        raise failure


def compare(
    sources: Sources,
    budgets: Annotated[str, typer.Option(help='joined by commas: "10k tokens, 40k tokens"')],
    strategies: Annotated[
        str | None,
        typer.Option(help="joined by commas; default: all that the model can follow"),
    ] = None,
    model: Annotated[
        str,
        typer.Option(help='sets of models joined by semicolons: "tiny-0.3m; tiny-0.3m,tiny-1m"'),
    ] = "tiny-1m",
    questions: Questions = None,
    levels: Levels = "",
    seed: Seed = 0,
    seeds: Annotated[int, typer.Option(help="how many seeds, from --seed on")] = 3,
    temperature: Temperature = 0.7,
    effort: Efforts = "",
    checker: Checker = "exact",
    no_checker: NoCheck = False,
    profile: ProfileFile = None,
    key_file: KeyFile = None,
    usd_per_mtok: UsdPerMtok = "",
    on: Annotated[str, typer.Option(help="where trials run: here, or ray (a cluster)")] = "here",
    resume: Annotated[
        Path | None,
        typer.Option(help="run folder of a comparison to go on with, or to widen"),
    ] = None,
    runs: Runs = RUNS,
    as_json: AsJson = False,
) -> None:
    """Strategies and models at equal budgets, on the same questions and draws, with intervals."""
    models = [split_models(part) for part in split(model, ";")]
    if not models:
        raise BadInput(f"--model {model!r}: name at least one model")
    job = job_of(
        sources,
        ",".join(models[0]),
        levels,
        questions=questions,
        seed=seed,
        temperature=temperature,
        checker=checker,
        check=not no_checker,
        profile=profile,
        efforts=tuple(parse_effort(one) for one in split(effort)),
        hosted=hosted(key_file, usd_per_mtok),
    )
    if on not in run.PLACES:
        raise BadInput(f"--on {on!r}: must be one of {', '.join(run.PLACES)}")
    folder = resume or run.run_dir(runs, job, "compare")
    with counting("comparing", "runs") as show:
        record, _ = run.run_compare(
            job,
            None if strategies is None else split(strategies),
            split(budgets),
            range(seed, seed + seeds),
            models=models,
            out=folder,
            resume=resume is not None,
            on=on,
            command=command(),
            on_progress=show,
        )
    show_on = screen(as_json)
    for table in compare_tables(record):
        show_on.print(table)
    say_where(folder, as_json)
    if as_json:
        emit(
            {
                "rows": [r.model_dump() for r in record.rows],
                "leaderboard": [p.model_dump() for p in record.places],
                "run_dir": str(folder),
            }
        )


def report(
    folder: Annotated[Path, typer.Argument(help="a run folder, or its run.json")],
    as_json: AsJson = False,
) -> None:
    """Write a run's HTML report again."""
    record = load_record(folder)
    page = write_page(record, (folder if folder.is_dir() else folder.parent) / "report.html")
    screen(as_json).print(f"report: {page}", soft_wrap=True, highlight=False)
    if as_json:
        emit({"report": str(page)})


def job_of(sources: list[str], model: str, levels: str, **settings: Any) -> run.Job:
    """`a.jsonl,chain` is two sources, unless there is a file of that name."""
    named = [n for s in sources for n in ([s] if Path(s).exists() else split(s))]
    return run.Job(
        tuple(named), tuple(split_models(model)), levels=tuple(split(levels)), **settings
    )


def hosted(key_file: Path | None, usd_per_mtok: str) -> dict[str, Any]:
    """What models behind a server are opened with."""
    given: dict[str, Any] = {} if key_file is None else {"key_file": key_file}
    if usd_per_mtok:
        try:
            price_in, price_out = map(float, split(usd_per_mtok))
        except ValueError:
            raise BadInput(
                f'--usd-per-mtok {usd_per_mtok!r}: must be two numbers, such as "0.15,0.6"'
            ) from None
        given["price"] = TokenPrice(price_in, price_out)
    return given


def say_where(folder: Path, as_json: bool) -> None:
    """Where the report of a run is."""
    screen(as_json).print(f"report: {folder / 'report.html'}", soft_wrap=True, highlight=False)
