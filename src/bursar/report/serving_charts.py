"""The charts of `bursar simulate` and `bursar plan`, each from a record."""

from collections.abc import Sequence
from typing import Literal

from bursar.report.charts import Legend
from bursar.report.format import count, dollars, duration, fleet_words, short, time_unit
from bursar.report.serving_record import (
    Distribution,
    FleetRow,
    Latency,
    PlanRecord,
    TimelineRecord,
)
from bursar.report.svg import SHAPES, Axis, Chart, axis

RING = "M-9 0a9 9 0 1 0 18 0a9 9 0 1 0 -18 0z"
_SLOTS = 48
"""Stretches of a timeline that say their figures: each wide enough for a pointer."""


def distribution_chart(
    spread: Distribution, latency: Latency, goal: float | None, title: str, name: str
) -> str:
    """The share of requests that took at most so long; the goal (seconds) as a line."""
    seconds = [*spread.seconds, *([] if goal is None else [goal])]
    chart = Chart(
        axis(f"{title}, s", seconds, short, log=_wide(seconds)),
        Axis("requests, %", 0.0, 1.12, lambda v: f"{100 * v:.0f}"),
    )
    if goal is not None:
        chart.upright(goal, f"goal {duration(goal)}")
    rising = zip(spread.seconds, spread.shares, strict=True)
    chart.steps([(spread.seconds[0], 0.0), *rising], "s0")
    for percent, value in ((50, latency.p50), (90, latency.p90), (99, latency.p99)):
        if value is not None:
            tip = f"{percent} % of requests: at most {duration(value)}"
            chart.mark((value, percent / 100), SHAPES[0], "s0 filled", tip)
    return chart.svg(name, f"Distribution of the {title}; arrow keys read the percentiles")


def timeline_chart(
    timeline: TimelineRecord,
    values: Sequence[float],
    title: str,
    name: str,
    *,
    limit: tuple[float, str] | None = None,
) -> str:
    """Means over bins of time; `limit` is a value that can't be passed, and its name.

    A limit far above all values is left out, so that the values can be seen.
    """
    per, unit = time_unit(timeline.until_seconds)
    edges = [i * timeline.width_seconds / per for i in range(len(values))]
    edges.append(timeline.until_seconds / per)
    near = limit is not None and limit[0] <= 4 * max(values)
    chart = Chart(
        axis(f"time, {unit}", edges, short),
        axis(title, [*values, *([limit[0]] if limit and near else [])], short),
    )
    if limit and near:
        chart.level(limit[0], f"{limit[1]} {short(limit[0])}")
    chart.steps([*zip(edges, values, strict=False), (edges[-1], values[-1])], "s0 thin")
    step = -(-len(values) // _SLOTS)
    for first in range(0, len(values), step):
        seen = values[first : first + step]
        start, end = edges[first], edges[min(first + step, len(values))]
        low, high = count(min(seen)), count(max(seen))
        said = low if low == high else f"{low} to {high}"
        chart.slot(start, end, f"{start:.4g} to {end:.4g} {unit}: {said}")
    return chart.svg(name, f"{title} over time; arrow keys read the figures")


Measure = Literal["ttft_p99_s", "e2e_mean_s", "joules_per_request"]


def fleets_chart(record: PlanRecord, measure: Measure, title: str) -> tuple[str, Legend]:
    """Fleets of one device by cost and `measure`, less is better; the plan has a ring.

    A filled mark is on the front: no other is as good for less.
    """
    drawn = [
        (name, row, row.usd_per_1k_requests, value)
        for name, row in (("", record), *((", ".join(r.devices), r) for r in record.frontier))
        if (value := getattr(row, measure)) is not None
    ]
    points = [(cost, value) for _, _, cost, value in drawn]
    costs, values = [x for x, _ in points], [y for _, y in points]
    chart = Chart(
        axis("USD per 1k requests", costs, short, log=_wide(costs)),
        axis(title, values, short, log=_wide(values)),
    )
    legend: Legend = [("chosen hollow", RING, "the plan")]
    front = sorted({p for p in points if not _beaten(p, points)})
    if len(front) > 1:
        chart.steps(front, "s6 dashed")
        legend.append(("s6 dashed", "M-11 0h22", "the front"))
    names = list(dict.fromkeys(name for name, *_ in drawn if name))
    for name, row, cost, value in drawn:
        if not name:
            chart.mark((cost, value), RING, "chosen hollow", f"the plan: {_tip(row)}")
            continue
        i = names.index(name)
        style, shape = f"s{i % 8}", SHAPES[(i + i // 8) % len(SHAPES)]
        fill = "hollow" if _beaten((cost, value), points) else "filled"
        chart.mark((cost, value), shape, f"{style} {fill}", _tip(row))
        if name not in [words for _, _, words in legend]:
            legend.append((f"{style} {fill}", shape, name))
    return chart.svg(measure, f"{title} against cost; arrow keys read the fleets"), legend


def _tip(row: FleetRow) -> str:
    says = f"{fleet_words(row.fleet, row.hosted)}: {dollars(row.usd_per_hour)} USD/h"
    if row.ttft_p99_s is not None:
        says += f", {duration(row.ttft_p99_s)} to the first token"
    if row.joules_per_request is not None:
        says += f", {count(row.joules_per_request)} J per request"
    return says


def _beaten(point: tuple[float, float], others: Sequence[tuple[float, float]]) -> bool:
    x, y = point
    return any(a <= x and b <= y and (a, b) != point for a, b in others)


def _wide(values: Sequence[float]) -> bool:
    """Whether small values can't be told apart on a scale from zero."""
    return bool(values) and min(values) > 0 and max(values) / min(values) > 20
