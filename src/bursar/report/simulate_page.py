"""The page of `bursar simulate`: latencies as figures and curves, and what happened over time."""

from collections.abc import Mapping
from html import escape
from typing import Literal

from bursar.report.elements import cards, facts, section, table
from bursar.report.format import MOST_CLASSES, UNKNOWN, count, dollars, duration, share, short
from bursar.report.serving_charts import distribution_chart, timeline_chart
from bursar.report.serving_record import ClassRecord, GoalRecord, SimulateRecord

Name = Literal["ttft_s", "tpot_s", "e2e_s"]
LATENCIES: dict[Name, str] = {
    "ttft_s": "time to the first token",
    "tpot_s": "time between tokens",
    "e2e_s": "time to the last token",
}


def simulate_body(record: SimulateRecord) -> str:
    """What stands between the page's head and its end."""
    asked = f"{record.trace}, batched by {record.policy}"
    if record.prefill_replicas:
        asked += ", prompts by prefill_first"
    if record.replicas > 1:
        asked += f", routed by {record.router}"
    if record.users is not None:
        asked += (
            f"; its lengths, drawn by {count(record.users.users)} users who ask "
            f"{count(record.users.turns)} times each and think for "
            f"{duration(record.users.think_seconds)} on average"
        )
    return "\n".join(
        (
            f"<h1>{escape(f'{record.model} on {_servers(record)}')}</h1>",
            f'<p class="soft">{escape(asked)}</p>',
            f"<p><code>{escape(record.command)}</code></p>",
            _headline(record),
            _latencies(record),
            _classes("By priority", "priority", record.by_priority, record.goal),
            _classes("By tenant", "tenant", record.by_tenant, record.goal),
            _over_time(record),
            facts(
                "Settings",
                {"version": record.version, "started": record.started, **record.settings},
            ),
        )
    )


def goal_words(goal: GoalRecord) -> str:
    """Such as "first token within 2 s, 60 ms between tokens"."""
    parts = []
    if goal.ttft_s is not None:
        parts.append(f"first token within {duration(goal.ttft_s)}")
    if goal.tpot_s is not None:
        parts.append(f"{duration(goal.tpot_s)} between tokens")
    return ", ".join(parts) or "no goal"


def _servers(record: SimulateRecord) -> str:
    """Such as "2 x l4", or "1 x h100-sxm for prompts + 2 x l4 for answers"."""
    if not record.prefill_replicas:
        return f"{record.replicas} x {record.device}"
    answering = record.replicas - record.prefill_replicas
    return (
        f"{record.prefill_replicas} x {record.prefill_device} for prompts + "
        f"{answering} x {record.device} for answers"
    )


def _headline(record: SimulateRecord) -> str:
    served = f"of {count(record.requests)} asked; preempted {count(record.preemptions)} times"
    if record.swaps is not None:
        served += (
            f"; {count(record.swaps.blocks_out)} KV blocks to the hosts, "
            f"{count(record.swaps.blocks_in)} back, in which steps waited "
            f"{duration(record.swaps.stalled_seconds)}"
        )
    if record.moves:
        served += f"; moved {count(record.moves)} times"
    if record.completed < record.requests:
        left = count(record.requests - record.completed)
        served += f"; {left} need more KV cache than a replica has"
    if record.left_out:
        served += f"; {count(record.left_out)} in the file were left out, being failures there"
    if record.slo_attainment is None:
        first = ("First token, p99", duration(record.ttft_s.p99), "no goal was given")
    else:
        first = ("Within the goal", share(record.slo_attainment), goal_words(record.goal))
    usage = record.usage
    took = f"until the last answer, on {record.devices} device{'s' if record.devices > 1 else ''}"
    took += "".join(
        f"; {short(tokens)} tokens {way}"
        for way in ("in", "out")
        if (tokens := usage.get(f"tokens_{way}")) is not None
    )
    if record.requests_per_second is not None:
        took += f"; {count(record.requests_per_second)} requests a second"
    rent = f"{dollars(record.usd_per_1k_requests)} per 1k requests"
    energy, joules = UNKNOWN, usage.get("joules")
    if joules is not None:
        energy = f"{short(joules)} J"
    drew = f"{count(record.joules_per_request)} J per request"
    if record.breaker_watts is not None and record.peak_watts is not None:
        drew += f"; at most {short(record.peak_watts)}W, the breaker bears "
        drew += f"{short(record.breaker_watts)}W"
        if record.peak_watts > record.breaker_watts:
            drew += ": it is passed"
    return cards(
        (
            ("Served", count(record.completed), served),
            (first[0], first[1], escape(first[2])),
            ("Rent, USD", dollars(usage.get("usd")), rent),
            ("Energy", energy, drew),
            ("Took", duration(usage.get("seconds")), took),
        )
    )


def _latencies(record: SimulateRecord) -> str:
    head = ("", "mean", "p50", "p90", "p99")
    lines = [
        (title, *(duration(getattr(getattr(record, name), part)) for part in head[1:]))
        for name, title in LATENCIES.items()
    ]
    goals = {"ttft_s": record.goal.ttft_s, "tpot_s": record.goal.tpot_s}
    charts = [
        distribution_chart(
            record.distributions[name], getattr(record, name), goals.get(name), title, name
        )
        for name, title in LATENCIES.items()
        if name in record.distributions
    ]
    says = "Over all requests served; the time between tokens is the mean of each answer."
    cells = [f"<div>{table(head, lines, numeric=range(1, 5))}</div>", *charts]
    return section("Latency", says, f'<div class="two">{"".join(cells)}</div>')


def _classes(title: str, what: str, classes: Mapping[str, ClassRecord], goal: GoalRecord) -> str:
    """A table of the latencies of some requests; nothing where there are no such classes."""
    if not classes:
        return ""
    head = [what, "requests", "within the goal"]
    for name in ("first token", "between tokens", "last token"):
        head += [f"{name}, p50", "p99"]
    lines = [
        (
            name or UNKNOWN,
            count(one.requests),
            share(one.slo_attainment),
            *(duration(x) for x in (one.ttft_s.p50, one.ttft_s.p99)),
            *(duration(x) for x in (one.tpot_s.p50, one.tpot_s.p99)),
            *(duration(x) for x in (one.e2e_s.p50, one.e2e_s.p99)),
        )
        for name, one in list(classes.items())[:MOST_CLASSES]
    ]
    says = f"The goal: {goal_words(goal)}."
    if len(classes) > MOST_CLASSES:
        says += f" The first {MOST_CLASSES}; run.json has more."
    return section(title, says, table(head, lines, numeric=range(1, len(head))))


def _over_time(record: SimulateRecord) -> str:
    line = record.timeline
    if not line.until_seconds:
        return section("Over time", "Nothing was served.", "")
    capacity = (record.capacity_blocks, "capacity")
    charts = [
        timeline_chart(line, line.waiting, "requests waiting", "waiting"),
        timeline_chart(line, line.running, "requests running", "running"),
        timeline_chart(line, line.blocks, "KV blocks held", "blocks", limit=capacity),
    ]
    if line.watts is not None:
        limit = None if record.breaker_watts is None else (record.breaker_watts, "breaker")
        charts.append(timeline_chart(line, line.watts, "power, W", "watts", limit=limit))
    if line.replicas is not None and record.scale != "fixed":
        charts.append(timeline_chart(line, line.replicas, "replicas rented", "replicas"))
    most = max(line.blocks)
    says = (
        f"Means over {duration(line.width_seconds)}, of all replicas together. A KV block holds "
        f"{record.block_tokens} tokens; at most {short(most)} of {short(capacity[0])} were held "
        f"({share(most / capacity[0])})."
    )
    if record.breaker_watts is not None:
        says += " Power is that of prompts and of decoding, as shares of the devices' TDP."
    return section("Over time", says, f'<div class="two">{"".join(charts)}</div>')
