"""The page of `bursar plan`: the fleet, how sure it is, what it was preferred to, how to run it."""

import json
from html import escape

from bursar.report.elements import cards, copyable, facts, legend, section, table
from bursar.report.format import (
    ONE_MORE,
    count,
    dollars,
    duration,
    fleet_budget,
    fleet_words,
    share,
)
from bursar.report.serving_charts import Measure, fleets_chart
from bursar.report.serving_record import FleetRow, PlanRecord
from bursar.report.simulate_page import goal_words

_MEASURES: dict[Measure, str] = {
    "ttft_p99_s": "p99 time to the first token, s",
    "e2e_mean_s": "mean time to the last token, s",
    "joules_per_request": "energy, J per request",
}


def plan_body(record: PlanRecord) -> str:
    """What stands between the page's head and its end."""
    return "\n".join(
        (
            f"<h1>{escape(f'{record.model}: {fleet_words(record.fleet, record.hosted)}')}</h1>",
            f'<p class="soft">{escape(_asked(record))}</p>',
            f"<p><code>{escape(record.command)}</code></p>",
            _headline(record),
            _fleet(record),
            _front(record),
            _settings(record),
            _measure(record),
            _binding(record),
            _run(record),
            facts(
                "Settings",
                {"version": record.version, "started": record.started, **record.settings},
            ),
        )
    )


def _asked(record: PlanRecord) -> str:
    goal = f"{goal_words(record.goal)}, for {share(record.attainment)} of requests"
    if record.objective != "cost":
        within = "" if record.limits is None else f", within {fleet_budget(record.limits)}"
        least = {"latency": "fastest fleet", "energy": "fleet that uses the least energy"}
        return f"The {least[record.objective]} for {record.trace}{within}: {goal}."
    if record.limits is None:
        return f"The cheapest fleet for {record.trace}: {goal}."
    return (
        f"The most requests like those of {record.trace} for {fleet_budget(record.limits)}: {goal}."
    )


def _headline(record: PlanRecord) -> str:
    rent = (
        f"for {count(record.requests_per_second)} requests/s; "
        f"{dollars(record.usd_per_1k_requests)} USD per 1k requests"
    )
    met = f"of {count(record.simulated.requests)} simulated; {share(record.attainment)} asked"
    best = "the cheapest" if record.limits is None else "the most traffic of any"
    to = f"{best} mix of the types it was chosen from, as full as here"
    if record.objective != "cost":
        to = "what no fleet of one kind of instance could beat"
    prices = {"usd_per_hour": record.price} if record.prices is None else record.prices
    return cards(
        (
            ("Rent, USD/h", dollars(record.usd_per_hour), rent),
            ("Within the goal", share(record.slo_attainment), met),
            ("Chance", share(record.probability, 0), "that it is met, by how far predictions err"),
            (
                "Gap",
                share(record.gap, 2),
                f"at most, to {to}",
            ),
            *(
                ("Price", count(price), f"requests/s that one more {ONE_MORE[name]} would carry")
                for name, price in prices.items()
            ),
        )
    )


def _fleet(record: PlanRecord) -> str:
    head = ("device", "dtype", "policy", "replicas", "devices", "tp", "pp", "dp", "ep", "fill")
    lines = (
        (
            part.device,
            part.dtype,
            part.policy,
            *(count(n) for n in (part.replicas, part.count, part.tp, part.pp, part.dp, part.ep)),
            share(fill, 0),
        )
        for part, fill in zip(record.fleet, record.predicted.fill, strict=True)
    )
    says = (
        "Fill is the share of its predicted capacity that an instance is planned for, so that "
        "bursts are carried too."
    )
    return section("The fleet", says, table(head, lines, numeric=range(3, 10)))


def _front(record: PlanRecord) -> str:
    charts = []
    for measure, title in _MEASURES.items():
        if any(getattr(row, measure) is not None for row in (record, *record.frontier)):
            chart, key = fleets_chart(record, measure, title)
            charts.append(f"<div>{legend(key)}{chart}</div>")
    head = (
        *("devices", "best fleet", "USD/h", "requests/s", "USD per 1k", "within goal"),
        *("p99 first", "p99 between", "mean to last", "J per request"),
    )
    alone = sorted(record.frontier, key=lambda row: row.usd_per_1k_requests)
    lines = [
        ("the plan", *_figures(record)),
        *((", ".join(row.devices), *_figures(row)) for row in alone),
    ]
    return section(
        "Cost against latency and energy",
        "The best fleet of each device alone, and others that are as good as any in cost, latency "
        "and energy together, simulated on requests of the same traffic. The plan has a ring. "
        "A filled mark is on the front: no other is as good for less.",
        f'<div class="two">{"".join(charts)}</div>{table(head, lines, numeric=range(2, 10))}',
    )


def _figures(row: FleetRow) -> tuple[str, ...]:
    return (
        fleet_words(row.fleet, row.hosted),
        dollars(row.usd_per_hour),
        count(row.requests_per_second),
        dollars(row.usd_per_1k_requests),
        share(row.slo_attainment),
        duration(row.ttft_p99_s),
        duration(row.tpot_p99_s),
        duration(row.e2e_mean_s),
        count(row.joules_per_request),
    )


def setting_words(record: PlanRecord) -> str:
    """How the plan batches, out of how many settings, and how far its prediction was off."""
    parts = {
        one.policy
        + (f", {one.max_tokens} tokens in a step" if one.max_tokens else "")
        + (f", {one.max_jobs} requests at once" if one.max_jobs else "")
        for one in record.fleet
    }
    says = f"Batching: {'; '.join(sorted(parts))}, the best of {len(record.tried)} simulated"
    says += f" and {record.excluded_settings} excluded settings."
    rows: list[tuple[str, FleetRow]] = [("The plan", record)]
    rows += [
        (", ".join(row.devices), row)
        for row in sorted(record.frontier, key=lambda row: row.usd_per_1k_requests)
        if row.alone and row.fleet != record.fleet
    ][:2]
    for name, row in rows:
        first = _off(row.ttft_mean_s, row.predicted_ttft_s)
        between = _off(row.tpot_mean_s, row.predicted_tpot_s)
        if first and between:
            says += f" {name}: simulated {first} of the predicted mean time to the first token"
            says += f", {between} of that between tokens."
    return says


def _off(simulated: float | None, predicted: float | None) -> str:
    return f"{simulated / predicted:.0%}" if simulated and predicted else ""


def _settings(record: PlanRecord) -> str:
    if not record.tried:
        return ""
    head = (
        *("policy", "tokens a step", "requests at once", "within goal"),
        *("p99 first", "p99 between", "mean to last", "J per request"),
    )
    lines = [
        (
            row.policy,
            count(row.max_tokens),
            count(row.max_jobs),
            share(row.slo_attainment),
            *map(duration, (row.ttft_p99_s, row.tpot_p99_s, row.e2e_mean_s)),
            count(row.joules_per_request),
        )
        for row in record.tried
    ]
    return section("How it batches", setting_words(record), table(head, lines, numeric=range(1, 8)))


def _measure(record: PlanRecord) -> str:
    worth = sorted(record.worth_measuring.items(), key=lambda item: -item[1])
    lines = [(name, f"{usd:.2f}") for name, usd in worth if usd >= 0.005]
    if not lines:
        says = "Nothing: knowing the devices' true speeds would not save a cent an hour."
        return section("What to measure", says, "")
    return section(
        "What to measure",
        "What knowing a device's true speed would save on average: predictions err, and another "
        "device may turn out to be cheaper.",
        table(("device", "USD/h saved"), lines, numeric=range(1, 2)),
    )


def _binding(record: PlanRecord) -> str:
    if not record.binding:
        says = "Every device that was offered can serve this alone."
        return section("What does not work", says, "")
    lines = [tuple(why.split(": ", 1)) for why in record.binding]
    return section(
        "What does not work", "", table(("device alone", "why"), lines, numeric=range(0))
    )


def _run(record: PlanRecord) -> str:
    parts = [
        f"<h3>{name}</h3>{''.join(map(copyable, lines))}"
        for name, lines in (("vLLM", record.commands.vllm), ("SGLang", record.commands.sglang))
    ]
    parts.append(f"<h3>Kubernetes</h3>{copyable(json.dumps(record.kubernetes, indent=2))}")
    says = "One command line per kind of instance. A click selects the whole text."
    return section(
        "How to run it",
        says,
        "".join([f"<p>{escape(note)}</p>" for note in record.commands.notes] + parts),
    )
