"""The command that fits: a profile of models on questions, or the step cost of servers."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bursar import run
from bursar.cli.screen import AsJson, counting, emit, plain_table, screen
from bursar.cli.spend import (
    Checker,
    KeyFile,
    Levels,
    Models,
    Questions,
    Seed,
    Temperature,
    UsdPerMtok,
    hosted,
    job_of,
)
from bursar.errors import BadInput
from bursar.run.calibrating_serving import run_calibrate_serving
from bursar.run.serving import Serving
from bursar.units import format_amount


def calibrate(
    sources: Annotated[
        list[str] | None, typer.Argument(help="chain, countdown, sudoku4, mixed, or FILE.jsonl")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="the file to write")] = None,
    samples: Annotated[int, typer.Option(help="samples of every model at every question")] = 16,
    budget: Annotated[str | None, typer.Option(help="a limit on what calibrating may cost")] = None,
    model: Models = "tiny-1m",
    questions: Questions = 200,
    levels: Levels = "",
    seed: Seed = 0,
    temperature: Temperature = 0.7,
    checker: Checker = "exact",
    key_file: KeyFile = None,
    usd_per_mtok: UsdPerMtok = "",
    serving: Annotated[
        list[Path] | None,
        typer.Option(help="instead of questions: measured servers, a CSV or a benchmark's result"),
    ] = None,
    device: Annotated[str, typer.Option(help="what a benchmark's --model ran on")] = "",
    engine: Annotated[str, typer.Option(help='what served it, such as "vllm 0.12.0"')] = "vllm",
    tp: Annotated[int, typer.Option(help="tensor parallel devices")] = 1,
    pp: Annotated[int, typer.Option(help="pipeline stages")] = 1,
    dp: Annotated[int, typer.Option(help="data parallel groups")] = 1,
    dtype: Annotated[str, typer.Option(help="of the weights")] = "bf16",
    kv_dtype: Annotated[str, typer.Option(help="of keys and values")] = "bf16",
    tables: Annotated[str, typer.Option(help="a folder of measured operator tables")] = "",
    as_json: AsJson = False,
) -> None:
    """Fit curves and difficulty on labelled questions, for `solve --profile`.

    With --serving: fit the step cost to measured servers, for --calibration.
    """
    if bool(sources) == bool(serving):
        raise BadInput("give questions to sample, or --serving with measured servers, not both")
    if serving:
        place = Serving(*(model, device, tp, pp, dp, dtype, kv_dtype), engine=engine, tables=tables)
        _serving(serving, place, out or Path("calibration.toml"), as_json)
        return
    out = out or Path("profile.json")
    job = job_of(
        sources or [],
        model,
        levels,
        questions=questions,
        seed=seed,
        temperature=temperature,
        checker=checker,
        hosted=hosted(key_file, usd_per_mtok),
    )
    with counting("calibrating", "rounds") as show:
        profile, spent = run.run_calibrate(job, samples, out, limits=budget, on_progress=show)
    lines = [
        [task, arm, _share(x["accuracy"]), _share(x.get("pass_at_k", {}).get(top)),
         _share(x.get("majority_at_k", {}).get(top)), f"{x['tokens'] or 0:.0f}"]
        for task, known in profile.tasks.items()
        for arm, x in known["arms"].items()
        for top in [max(x.get("pass_at_k", {"": 0}), key=lambda k: int(k or 0))]
    ]  # fmt: skip
    heads = ["task", "arm", "one attempt", "any of all", "vote of all", "tokens each"]
    screen(as_json).print(plain_table("calibrated", heads, lines))
    says = f"profile: {out} ({format_amount('tokens', spent.tokens)} spent)"
    screen(as_json).print(says, soft_wrap=True)
    if as_json:
        emit({"profile": str(out), "tasks": profile.tasks, "spent": spent.to_dict()})


def _serving(results: list[Path], serving: Serving, out: Path, as_json: bool) -> None:
    """Errors before the fit, and after it on rows that were left out."""
    errors = run_calibrate_serving(results, serving, out)
    says = {"ttft": "to the first token", "tpot": "between tokens"}
    lines = [
        [says[name], f"{errors.before[name]:.1%}", _left_out(errors.after.get(name))]
        for name in says
    ]
    show = screen(as_json)
    title = f"median error on {errors.rows} measured servers"
    show.print(plain_table(title, ["seconds", "before", "after, left out"], lines))
    show.print(f"calibration: {out}", soft_wrap=True)
    if as_json:
        emit({"calibration": str(out)} | asdict(errors))


def _left_out(error: float | None) -> str:
    return "-" if error is None else f"{error:.1%}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
