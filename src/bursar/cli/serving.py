"""Commands about serving a model: simulate, plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bursar.catalog import device as catalog_device
from bursar.catalog import model as catalog_model
from bursar.cli.screen import AsJson, bar, emit, plain_table, screen, split
from bursar.errors import BadInput
from bursar.fleet import Goal
from bursar.fleet.plan import Request
from bursar.policies.batching import BATCHING
from bursar.policies.routing import ROUTING
from bursar.run.planning import USUAL_DEVICES, Planning, parse_rent
from bursar.run.simulating import Serving, parse_seconds
from bursar.units import RESOURCES, format_amount
from bursar.workload.traces import read_trace

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
    tp: Annotated[int, typer.Option(help="tensor parallel devices")] = 1,
    pp: Annotated[int, typer.Option(help="pipeline stages")] = 1,
    dp: Annotated[int, typer.Option(help="data parallel groups, experts spread over all")] = 1,
    dtype: Annotated[str, typer.Option(help="of the weights")] = "bf16",
    kv_dtype: Annotated[str, typer.Option(help="of keys and values")] = "bf16",
    speed: Annotated[float, typer.Option(help="play the trace so many times as fast")] = 1.0,
    ttft: Annotated[str | None, typer.Option(help='goal to the first token, "2 s"')] = None,
    tpot: Annotated[str | None, typer.Option(help='goal between tokens, "60 ms"')] = None,
    as_json: AsJson = False,
) -> None:
    """What a trace of requests would meet: latencies, energy and rent, without a GPU."""
    serving = Serving(model, device, tp, pp, dp, dtype, kv_dtype, replicas, policy, router)
    goal = Goal(parse_seconds(ttft, "--ttft"), parse_seconds(tpot, "--tpot"))
    _, record = serving.run(trace, speed, goal)
    heads = ["seconds", "mean", "p50", "p90", "p99"]
    lines = [
        [says, *(_seconds(record[name][p]) for p in heads[1:])] for name, says in LATENCIES.items()
    ]
    show = screen(as_json)
    show.print(plain_table(_title(record), heads, lines))
    used = [f"{format_amount(r, x)}" for r in RESOURCES if (x := record["usage"][r]) is not None]
    show.print(f"{record['devices']} devices used {', '.join(used)}", soft_wrap=True)
    if as_json:
        emit(record)


def _title(record: dict[str, Any]) -> str:
    says = f"{record['completed']:,} of {record['requests']:,} requests served"
    if record["slo_attainment"] is not None:
        says += f", {record['slo_attainment']:.1%} within the goal"
    if record["preemptions"]:
        says += f", {record['preemptions']:,} preemptions"
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
    asked = Planning(request, read_trace(trace).sped_up(speed), policy, parse_rent(budget))
    show = screen(as_json)
    with bar("planning") as advance:
        record = asked.run(advance)
    heads = ["fleet", "USD/h", "requests/s", "within goal", "p99 first", "p99 between", "J/request"]
    rows = [record, *sorted(record["frontier"], key=lambda row: float(row["usd_per_hour"]))]
    show.print(
        plain_table("the plan, and the best of each device alone", heads, [*map(_line, rows)])
    )
    show.print(_certificate(record), soft_wrap=True)
    for line in record["commands"]["vllm"]:
        show.print(line, soft_wrap=True, highlight=False)
    if as_json:
        emit(record)


def _line(row: dict[str, Any]) -> list[str]:
    joules = row["joules_per_request"]
    return [
        " + ".join(
            f"{p['replicas']} x {p['device']}"
            + (f" tp{p['tp']}" if p["tp"] > 1 else "")
            + f" {p['dtype']}"
            for p in row["fleet"]
        ),
        f"{row['usd_per_hour']:.2f}",
        f"{row['requests_per_second']:.2f}",
        f"{row['slo_attainment']:.1%}",
        _seconds(row["ttft_p99_s"]),
        _seconds(row["tpot_p99_s"]),
        "-" if joules is None else f"{joules:.0f}",
    ]


def _certificate(record: dict[str, Any]) -> str:
    """What is proven, how sure it is, and what to measure."""
    says = [f"Within {record['gap']:.2%} of the cheapest mix that the cost model allows."]
    if record["price"]:
        says.append(f"One more dollar an hour would carry {record['price']:.2f} requests a second.")
    says.append(
        f"Chance that the goal is met, by the error of predictions: {record['probability']:.0%}."
    )
    if worth := record["worth_measuring"]:
        first = max(worth, key=lambda name: worth[name])
        says.append(f"Measuring {first} would save {worth[first]:.2f} USD/h on average.")
    says += [f"Not possible on {why}." for why in record["binding"]]
    return " ".join(says)
