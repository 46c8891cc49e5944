"""Commands about serving a model: simulate, plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bursar.catalog import device as catalog_device
from bursar.catalog import model as catalog_model
from bursar.cli.screen import AsJson, bar, command, emit, plain_table, screen, split
from bursar.cli.spend import RUNS, Runs, say_where
from bursar.cost.calibration import calibration as known_calibration
from bursar.cost.tables import Engine
from bursar.errors import BadInput
from bursar.fleet import Goal
from bursar.fleet.apex import OBJECTIVES
from bursar.fleet.market import MARKETS, Spot
from bursar.fleet.plan import Request
from bursar.fleet.power_cap import capped_devices
from bursar.policies.batching import BATCHING
from bursar.policies.routing import ROUTING
from bursar.policies.scaling import SCALING
from bursar.report.format import LATENCIES, ONE_MORE, fleet_words, seconds
from bursar.report.plan_page import setting_words
from bursar.report.serving_record import FleetRow, PlanRecord, SimulateRecord
from bursar.run.folder import fresh_dir
from bursar.run.planning import USUAL_DEVICES, parse_budget, parse_caps, run_plan
from bursar.run.simulating import Serving, as_path, parse_seconds, run_simulate
from bursar.units import RESOURCES, format_amount

SPOT = Spot()


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
    engine: Annotated[str, typer.Option(help='such as "sglang" or "vllm 0.12.0"')] = "vllm",
    tables: Annotated[str, typer.Option(help="a folder of measured operator tables")] = "",
    calibration: Annotated[str, typer.Option(help="of `bursar calibrate --serving`")] = "",
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
        engine=engine,
        tables=tables,
        calibration=calibration,
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
        [says, *(seconds(getattr(getattr(record, name), p)) for p in heads[1:])]
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


def plan(
    trace: Annotated[Path, typer.Option(help="a trace or a benchmark's result file")],
    model: Annotated[str, typer.Option(help="a catalogue name, or a config.json")],
    ttft: Annotated[str | None, typer.Option(help='goal to the first token, "2 s"')] = None,
    tpot: Annotated[str | None, typer.Option(help='goal between tokens, "60 ms"')] = None,
    attainment: Annotated[float, typer.Option(help="share of requests within the goal")] = 0.99,
    devices: Annotated[str, typer.Option(help="joined by commas")] = ",".join(USUAL_DEVICES),
    dtypes: Annotated[str, typer.Option(help="of the weights, joined by commas")] = "bf16,fp8",
    policy: Annotated[
        str | None, typer.Option(help=f"{', '.join(BATCHING)}; default: what the engine can run")
    ] = None,
    engine: Annotated[str, typer.Option(help='such as "sglang" or "vllm 0.12.0"')] = "vllm",
    tables: Annotated[str, typer.Option(help="a folder of measured operator tables")] = "",
    calibration: Annotated[str, typer.Option(help="of `bursar calibrate --serving`")] = "",
    power_caps: Annotated[str, typer.Option(help='of each GPU, shares of its TDP, "1, 0.7"')] = "1",
    budget: Annotated[str | None, typer.Option(help='"20 USD/h", "5 kW", "8 GPUs"')] = None,
    objective: Annotated[str, typer.Option(help=", ".join(OBJECTIVES))] = "cost",
    market: Annotated[str, typer.Option(help=f"{', '.join(MARKETS)}, joined")] = MARKETS[0],
    spot_price: Annotated[float, typer.Option(help="share of the rent on demand")] = SPOT.price,
    interruptions: Annotated[
        float, typer.Option(help="of a spot instance, an hour")
    ] = SPOT.interruptions_per_hour,
    speed: Annotated[float, typer.Option(help="plan for so many times the trace's rate")] = 1.0,
    runs: Runs = RUNS,
    as_json: AsJson = False,
) -> None:
    """The cheapest fleet that serves a trace within a goal, or the best one for a budget."""
    if not 0 < attainment <= 1:
        raise BadInput(f"--attainment is {attainment}; give a share above 0 and at most 1")
    request = Request(
        catalog_model(model),
        capped_devices(map(catalog_device, split(devices)), parse_caps(power_caps)),
        Goal(parse_seconds(ttft, "--ttft"), parse_seconds(tpot, "--tpot")),
        attainment,
        tuple(split(dtypes)),
        tuple(split(market)),
        Spot(spot_price, interruptions),
        Engine.parse(engine),
        known_calibration(as_path(tables), as_path(calibration)),
    )
    limits = parse_budget(budget)
    folder = fresh_dir(runs, f"plan-{trace.stem}-{request.model.name}")
    with bar("planning") as advance:
        record = run_plan(
            request,
            trace,
            speed,
            policy=policy,
            limits=limits,
            objective=objective,
            out=folder,
            command=command(),
            given={"tables": tables, "calibration": calibration},
            on_progress=advance,
        )
    show = screen(as_json)
    heads = ["fleet", "USD/h", "req/s", "in goal", "TTFT p99", "TPOT p99"]  # 80 columns
    alone = [row for row in record.frontier if row.alone]
    rows = [record, *sorted(alone, key=lambda row: row.usd_per_hour)]
    show.print(
        plain_table("the plan, and the best of each device alone", heads, [*map(_line, rows)])
    )
    front = [row for row in record.frontier if row.on_front]
    if any(not row.alone for row in front):
        heads = ["fleet", "USD per 1k", "mean s", "J per request"]
        best = sorted(front, key=lambda row: row.usd_per_1k_requests)
        show.print(
            plain_table("the front of cost, latency and energy", heads, [*map(_costs, best)])
        )
    show.print(_certificate(record), soft_wrap=True)
    if record.tried:
        show.print(setting_words(record), soft_wrap=True)
    for line in (*record.commands.notes, *record.commands.vllm):
        show.print(line, soft_wrap=True, highlight=False)
    say_where(folder, as_json)
    if as_json:
        emit(record.model_dump(mode="json") | {"run_dir": str(folder)})


def _line(row: FleetRow) -> list[str]:
    return [
        fleet_words(row.fleet, row.hosted),
        f"{row.usd_per_hour:.2f}",
        f"{row.requests_per_second:.2f}",
        f"{row.slo_attainment:.1%}",
        seconds(row.ttft_p99_s),
        seconds(row.tpot_p99_s),
    ]


def _costs(row: FleetRow) -> list[str]:
    joules = row.joules_per_request
    return [
        fleet_words(row.fleet, row.hosted),
        f"{row.usd_per_1k_requests:.3g}",
        seconds(row.e2e_mean_s),
        "-" if joules is None else f"{joules:.3g}",
    ]


def _certificate(record: PlanRecord) -> str:
    """What is proven, how sure it is, and what to measure."""
    if record.objective != "cost":
        says = [f"The {record.objective} is within {record.gap:.0%} of what no fleet could beat."]
    else:
        best = "the cheapest" if record.limits is None else "the most traffic of any"
        says = [f"Within {record.gap:.2%} of {best} mix of the types it was chosen from, so full."]
    for name, price in (record.prices or {}).items():
        says.append(f"One more {ONE_MORE[name]} would carry {price:.3g} requests a second.")
    if record.probability is not None:
        says.append(
            f"Chance that the goal is met, by the error of predictions: {record.probability:.0%}."
        )
    if record.hosted is not None:
        says.append(f"In what time {record.hosted.name} answers is not known.")
    if record.crossover_requests_per_second is not None:
        rate = record.crossover_requests_per_second
        says.append(f"From {rate:.3g} requests a second on instances are cheaper than hosting.")
    worth = record.worth_measuring
    first = max(worth, key=lambda name: worth[name], default="")
    if worth.get(first, 0.0) >= 0.005:
        says.append(f"Measuring {first} would save {worth[first]:.2f} USD/h on average.")
    says += [f"Not possible on {why}." for why in record.binding]
    return " ".join(says)
