"""Commands about serving a model: simulate, plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bursar.catalog import device as catalog_device
from bursar.catalog import model as catalog_model
from bursar.cli.screen import AsJson, bar, command, emit, plain_table, screen, split
from bursar.cli.spend import RUNS, Runs, say_where
from bursar.errors import BadInput
from bursar.fleet import Goal
from bursar.fleet.plan import Request
from bursar.policies.batching import BATCHING
from bursar.policies.routing import ROUTING
from bursar.policies.scaling import SCALING
from bursar.report.format import fleet_words
from bursar.report.serving_record import FleetRow, PlanRecord, SimulateRecord
from bursar.run.folder import fresh_dir
from bursar.run.planning import USUAL_DEVICES, parse_rent, run_plan
from bursar.run.simulating import Serving, parse_seconds, run_simulate
from bursar.units import RESOURCES, format_amount

LATENCIES = {
    "ttft_s": "to the first token",
    "tpot_s": "between tokens",
    "e2e_s": "to the last token",
}


def simulate(
    trace: Annotated[Path, typer.Option(help="a trace or a benchmark's result file")],
    model: Annotated[str, typer.Option(help="a catalogue name, or a config.json")],
    device: Annotated[str, typer.Option(help="a device of the catalogue")],
    replicas: Annotated[int, typer.Option(help="how many such servers")] = 1,
    policy: Annotated[str, typer.Option(help=", ".join(BATCHING))] = "sarathi",
    router: Annotated[str, typer.Option(help=", ".join(ROUTING))] = "round_robin",
    scale: Annotated[str, typer.Option(help=", ".join(SCALING))] = "fixed",
    most_replicas: Annotated[int, typer.Option(help="with --scale, from --replicas on")] = 64,
    cold_start: Annotated[str, typer.Option(help="with --scale, until one serves")] = "60 s",
    tp: Annotated[int, typer.Option(help="tensor parallel devices")] = 1,
    pp: Annotated[int, typer.Option(help="pipeline stages")] = 1,
    dp: Annotated[int, typer.Option(help="data parallel groups, experts spread over all")] = 1,
    dtype: Annotated[str, typer.Option(help="of the weights")] = "bf16",
    kv_dtype: Annotated[str, typer.Option(help="of keys and values")] = "bf16",
    tables: Annotated[str, typer.Option(help="a folder of measured operator tables")] = "",
    prefix_cache: Annotated[bool, typer.Option(help="prompts that begin alike share it")] = False,
    speed: Annotated[float, typer.Option(help="play the trace so many times as fast")] = 1.0,
    ttft: Annotated[str | None, typer.Option(help='goal to the first token, "2 s"')] = None,
    tpot: Annotated[str | None, typer.Option(help='goal between tokens, "60 ms"')] = None,
    runs: Runs = RUNS,
    as_json: AsJson = False,
) -> None:
    """What a trace of requests would meet: latencies, energy and rent, without a GPU."""
    serving = Serving(
        *(model, device, tp, pp, dp, dtype, kv_dtype, replicas, policy, router),
        tables=tables,
        prefix_cache=prefix_cache,
        scale=scale,
        most_replicas=most_replicas,
        cold_start_seconds=parse_seconds(cold_start, "--cold-start") or 0.0,
    )
    goal = Goal(parse_seconds(ttft, "--ttft"), parse_seconds(tpot, "--tpot"))
    folder = fresh_dir(runs, f"simulate-{trace.stem}-{device}")
    record = run_simulate(serving, trace, speed, goal, out=folder, command=command())
    heads = ["seconds", "mean", "p50", "p90", "p99"]
    lines = [
        [says, *(_seconds(getattr(getattr(record, name), p)) for p in heads[1:])]
        for name, says in LATENCIES.items()
    ]
    show = screen(as_json)
    show.print(plain_table(_title(record), heads, lines))
    used = [f"{format_amount(r, x)}" for r in RESOURCES if (x := record.usage[r]) is not None]
    show.print(f"{record.devices} devices used {', '.join(used)}", soft_wrap=True)
    say_where(folder, as_json)
    if as_json:
        found = record.model_dump(mode="json", exclude={"distributions", "timeline"})
        emit(found | {"run_dir": str(folder)})


def _title(record: SimulateRecord) -> str:
    says = f"{record.completed:,} of {record.requests:,} requests served"
    if record.slo_attainment is not None:
        says += f", {record.slo_attainment:.1%} within the goal"
    if record.prefix_hit_rate:
        says += f", {record.prefix_hit_rate:.1%} of prompt tokens cached"
    if record.preemptions:
        says += f", {record.preemptions:,} preemptions"
    return says


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if value < 100 else f"{value:,.0f}"


def plan(
    trace: Annotated[Path, typer.Option(help="a trace or a benchmark's result file")],
    model: Annotated[str, typer.Option(help="a catalogue name, or a config.json")],
    ttft: Annotated[str | None, typer.Option(help='goal to the first token, "2 s"')] = None,
    tpot: Annotated[str | None, typer.Option(help='goal between tokens, "60 ms"')] = None,
    attainment: Annotated[float, typer.Option(help="share of requests within the goal")] = 0.99,
    devices: Annotated[str, typer.Option(help="joined by commas")] = ",".join(USUAL_DEVICES),
    dtypes: Annotated[str, typer.Option(help="of the weights, joined by commas")] = "bf16,fp8",
    policy: Annotated[str, typer.Option(help=", ".join(BATCHING))] = "sarathi",
    budget: Annotated[str | None, typer.Option(help='most rent, "20 USD/h"')] = None,
    speed: Annotated[float, typer.Option(help="plan for so many times the trace's rate")] = 1.0,
    runs: Runs = RUNS,
    as_json: AsJson = False,
) -> None:
    """The cheapest fleet that serves a trace within a goal, or the best one for a budget."""
    if not 0 < attainment <= 1:
        raise BadInput(f"--attainment is {attainment}; give a share above 0 and at most 1")
    request = Request(
        catalog_model(model),
        tuple(catalog_device(name) for name in split(devices)),
        Goal(parse_seconds(ttft, "--ttft"), parse_seconds(tpot, "--tpot")),
        attainment,
        tuple(split(dtypes)),
    )
    folder, rent = fresh_dir(runs, f"plan-{trace.stem}-{request.model.name}"), parse_rent(budget)
    with bar("planning") as advance:
        record = run_plan(
            request,
            trace,
            speed,
            policy=policy,
            usd_per_hour=rent,
            out=folder,
            command=command(),
            on_progress=advance,
        )
    show = screen(as_json)
    heads = ["fleet", "USD/h", "req/s", "in goal", "TTFT p99", "TPOT p99"]  # 80 columns
    rows = [record, *sorted(record.frontier, key=lambda row: row.usd_per_hour)]
    show.print(
        plain_table("the plan, and the best of each device alone", heads, [*map(_line, rows)])
    )
    show.print(_certificate(record), soft_wrap=True)
    for line in record.commands.vllm:
        show.print(line, soft_wrap=True, highlight=False)
    say_where(folder, as_json)
    if as_json:
        emit(record.model_dump(mode="json") | {"run_dir": str(folder)})


def _line(row: FleetRow) -> list[str]:
    return [
        fleet_words(row.fleet),
        f"{row.usd_per_hour:.2f}",
        f"{row.requests_per_second:.2f}",
        f"{row.slo_attainment:.1%}",
        _seconds(row.ttft_p99_s),
        _seconds(row.tpot_p99_s),
    ]


def _certificate(record: PlanRecord) -> str:
    """What is proven, how sure it is, and what to measure."""
    best = "the cheapest" if record.budget_usd_per_hour is None else "the most traffic of any"
    says = [f"Within {record.gap:.2%} of {best} mix of the types it was chosen from, so full."]
    if record.price:
        says.append(f"One more dollar an hour would carry {record.price:.2f} requests a second.")
    says.append(
        f"Chance that the goal is met, by the error of predictions: {record.probability:.0%}."
    )
    worth = record.worth_measuring
    first = max(worth, key=lambda name: worth[name])
    if worth[first] >= 0.005:
        says.append(f"Measuring {first} would save {worth[first]:.2f} USD/h on average.")
    says += [f"Not possible on {why}." for why in record.binding]
    return " ".join(says)
