"""Commands about serving a model: simulate, plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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
from bursar.policies.scaling import SCALING
from bursar.report.format import LATENCIES, MOST_CLASSES, ONE_MORE, fleet_words, seconds
from bursar.report.plan_page import setting_words
from bursar.report.serving_record import ClassRecord, FleetRow, PlanRecord, SimulateRecord
from bursar.run.folder import fresh_dir
from bursar.run.planning import USUAL_DEVICES, parse_budget, parse_caps, run_plan
from bursar.run.serving import ROUTERS, Serving, as_path, parse_seconds
from bursar.run.simulating import run_simulate
from bursar.units import RESOURCES, format_amount

SPOT = Spot()


def _server(says: str) -> Any:
    return typer.Option(help=says, rich_help_panel="Server")


def _fleet(says: str) -> Any:
    return typer.Option(help=says, rich_help_panel="Fleet")


def _traffic(says: str) -> Any:
    return typer.Option(help=says, rich_help_panel="Traffic")


def _goals(says: str) -> Any:
    return typer.Option(help=says, rich_help_panel="Goals")


def simulate(
    trace: Annotated[Path, _traffic("a trace or a benchmark's result file")],
    model: Annotated[str, _server("a catalogue name, or a config.json")],
    device: Annotated[str, _server("a device of the catalogue")],
    replicas: Annotated[int, _fleet("how many such servers")] = 1,
    policy: Annotated[str, _server(", ".join(BATCHING))] = "sarathi",
    router: Annotated[
        str, _fleet(f"{', '.join(ROUTERS)}; default: round_robin, or what suits the other options")
    ] = "",
    scale: Annotated[str, _fleet(", ".join(SCALING))] = "fixed",
    most_replicas: Annotated[int, _fleet("with --scale, from --replicas on")] = 64,
    cold_start: Annotated[str, _fleet("with --scale, until one serves")] = "60 s",
    prefill_replicas: Annotated[
        int | None, _fleet("so many more for prompts; --replicas are then for answers")
    ] = None,
    prefill_device: Annotated[str, _fleet("of those; default: --device")] = "",
    migrate: Annotated[bool, _fleet("running requests move to freer replicas")] = False,
    link: Annotated[
        str, _fleet('over which a replica sends caches, "25 GB/s"; default: its devices\' own')
    ] = "",
    breaker: Annotated[
        str, _fleet('all devices draw no more, "30 kW": clocks are lowered in time')
    ] = "",
    tp: Annotated[int, _server("tensor parallel devices")] = 1,
    pp: Annotated[int, _server("pipeline stages")] = 1,
    dp: Annotated[int, _server("data parallel groups, experts spread over all")] = 1,
    dtype: Annotated[str, _server("of the weights")] = "bf16",
    kv_dtype: Annotated[str, _server("of keys and values")] = "bf16",
    engine: Annotated[str, _server('such as "sglang" or "vllm 0.12.0"')] = "vllm",
    tables: Annotated[str, _server("a folder of measured operator tables")] = "",
    calibration: Annotated[str, _server("of `bursar calibrate --serving`")] = "",
    prefix_cache: Annotated[bool, _server("prompts that begin alike share it")] = False,
    host_memory: Annotated[
        str, _server('of each device, for preempted caches: "64 GB" or "64 GB, 25 GB/s"')
    ] = "",
    priorities: Annotated[
        bool, _server("who waits displaces running requests of less priority")
    ] = False,
    speed: Annotated[float, _traffic("play the trace so many times as fast")] = 1.0,
    users: Annotated[
        int | None, _traffic("so many ask in turn instead, with the trace's lengths")
    ] = None,
    think: Annotated[str, _traffic("with --users, mean time before they ask again")] = "5 s",
    seed: Annotated[int, _traffic("with --users, of what they draw")] = 0,
    ttft: Annotated[str | None, _goals('to the first token, "2 s"')] = None,
    tpot: Annotated[str | None, _goals('between tokens, "60 ms"')] = None,
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
        prefill_replicas=prefill_replicas,
        prefill_device=prefill_device,
        link=link,
        host_memory=host_memory,
        priorities=priorities,
        migrate=migrate,
        breaker=breaker,
        users=users,
        think_seconds=parse_seconds(think, "--think") or 0.0,
        seed=seed,
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
    heads = ["", "requests", "in goal", "TTFT p50", "TTFT p99", "TPOT p99", "end p99"]
    for what, classes in (("priority", record.by_priority), ("tenant", record.by_tenant)):
        if classes:
            rows = [_class(name, one) for name, one in [*classes.items()][:MOST_CLASSES]]
            show.print(plain_table(f"by {what}", [what, *heads[1:]], rows))
    used = [f"{format_amount(r, x)}" for r in RESOURCES if (x := record.usage[r]) is not None]
    says = [f"{record.devices} devices used {', '.join(used)}"]
    if record.swaps is not None:
        says.append(f"{record.swaps.blocks_out:,} blocks went to the hosts")
    if record.breaker_watts is not None and record.peak_watts is not None:
        trips = ": the breaker is passed" if record.peak_watts > record.breaker_watts else ""
        drawn = f"{record.peak_watts:,.0f} of {record.breaker_watts:,.0f} W"
        says.append(f"at most {drawn} drawn{trips}")
    show.print("; ".join(says), soft_wrap=True)
    say_where(folder, as_json)
    if as_json:
        found = record.model_dump(mode="json", exclude={"distributions", "timeline"})
        emit(found | {"run_dir": str(folder)})


def _class(name: str, one: ClassRecord) -> list[str]:
    return [
        name or "-",
        f"{one.requests:,}",
        "-" if one.slo_attainment is None else f"{one.slo_attainment:.1%}",
        seconds(one.ttft_s.p50),
        seconds(one.ttft_s.p99),
        seconds(one.tpot_s.p99),
        seconds(one.e2e_s.p99),
    ]


def _title(record: SimulateRecord) -> str:
    says = f"{record.completed:,} of {record.requests:,} requests served"
    if record.users is not None and record.requests_per_second is not None:
        says += f" to {record.users.users:,} users, {record.requests_per_second:.3g} a second"
    if record.slo_attainment is not None:
        says += f", {record.slo_attainment:.1%} within the goal"
    if record.prefix_hit_rate:
        says += f", {record.prefix_hit_rate:.1%} of prompt tokens cached"
    if record.preemptions:
        says += f", {record.preemptions:,} preemptions"
    if record.moves:
        says += f", {record.moves:,} moves"
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
