"""The charts of a report, each from a record."""

from collections.abc import Sequence
from html import escape
from typing import Literal

from bursar.report.format import outcome, price_unit, share, short, unit
from bursar.report.record import CompareRow, QuestionLine, SolveRecord
from bursar.report.svg import SHAPES, Axis, Chart, axis
from bursar.units import format_amount

Legend = list[tuple[str, str, str]]
"""Rows of (style, shape, words)."""


def accuracy_chart(record: SolveRecord) -> tuple[str, Legend]:
    """Right answers against spend: the run, its own belief, other strategies, the limit."""
    asked = len(record.questions)
    limit = record.limit.get(record.resource)
    spends = [r.spent for r in record.rounds] + [b.spent for b in record.baselines]
    chart = Chart(
        axis(f"spent, {unit(record.resource)}", [*spends, limit or 0.0], short),
        Axis("right answers, % of questions", 0.0, 1.04, lambda v: f"{100 * v:.0f}"),
    )
    legend: Legend = []
    if limit is not None:
        chart.upright(limit, f"limit {format_amount(record.resource, limit)}")
    believed = [
        (r.spent, r.expected_right / asked) for r in record.rounds if r.expected_right is not None
    ]
    if believed and asked:
        chart.line(believed, "s6 dashed")
        legend.append(("s6 dashed", "M-11 0h22", "believed right by the strategy"))
    measured = [(r.spent, r.correct / asked) for r in record.rounds if r.correct is not None]
    if measured and asked:
        chart.line(measured, "s0")
        legend.append(("s0 filled", SHAPES[0], f"{record.strategy}, after each round"))
    for spent, accuracy in believed if not measured else ():
        tip = f"believed: {share(accuracy)} at {format_amount(record.resource, spent)}"
        chart.mark((spent, accuracy), SHAPES[0], "s6 hollow", tip)
    for spent, accuracy in measured:
        tip = f"{record.strategy}: {share(accuracy)} at {format_amount(record.resource, spent)}"
        chart.mark((spent, accuracy), SHAPES[0], "s0 filled", tip)
    for i, baseline in enumerate(record.baselines, start=1):
        style, shape = f"s{1 + (i - 1) % 5}", SHAPES[i % len(SHAPES)]
        tip = f"{baseline.strategy}: {share(baseline.accuracy)}"
        if baseline.low is not None and baseline.high is not None:
            chart.whisker(baseline.spent, baseline.low, baseline.high, style)
            tip += f" ({share(baseline.low)} to {share(baseline.high)})"
        tip += f" at {format_amount(record.resource, baseline.spent)}"
        chart.mark((baseline.spent, baseline.accuracy), shape, f"{style} filled", tip)
        legend.append((f"{style} filled", shape, baseline.strategy))
    return chart.svg("accuracy", "Right answers against spend; arrow keys read the points"), legend


def price_chart(record: SolveRecord) -> str | None:
    """The price over the run; None when no round had one."""
    per, per_unit = price_unit(record.resource)
    points = [(r.spent, r.price * per) for r in record.rounds if r.price is not None]
    if not points:
        return None
    prices = [p for _, p in points]
    wide = min(prices) > 0 and max(prices) / min(prices) > 30
    chart = Chart(
        axis(f"spent, {unit(record.resource)}", [x for x, _ in points], short),
        axis(f"right answers per {per_unit}", prices, short, log=wide),
    )
    chart.steps(points, "s0")
    for r in record.rounds:
        if r.price is not None:
            tip = f"round {r.round}: {r.price * per:.3g} right answers per {per_unit}"
            chart.mark((r.spent, r.price * per), SHAPES[0], "s0 filled", tip)
    return chart.svg("price", "The price of each round; arrow keys read the points")


def question_strip(
    questions: Sequence[QuestionLine],
    resource: Literal["tokens", "usd"],
    widest: int,
    most: float,
    name: str,
) -> str:
    """One bar per question, as high as its spend: first the right, then the wrong, the unknown.

    `widest` and `most` (questions in a strip, spend of a question) are common to all strips, so
    that they can be compared.
    """
    order = ("right", "wrong", "unknown")
    bars = sorted(
        questions, key=lambda q: (order.index(outcome(q.correct)), -(q.spent(resource) or 0.0))
    )
    parts = []
    for i, q in enumerate(bars):
        spent = q.spent(resource)
        style = outcome(q.correct) if spent is not None else f"{outcome(q.correct)} hollow"
        height = max(2.0, 100 * (spent or 0.0) / most) if most else 2.0
        tip = f"{q.id}: {outcome(q.correct)}, {format_amount(resource, spent)}"
        tip += f", {q.samples} samples" if q.samples is not None else ""
        parts.append(
            f'<rect class="mark {style}" x="{i + 0.08:.2f}" '
            f'y="{100 - height:.1f}" width="0.84" height="{height:.1f}" data-tip="{escape(tip)}"/>'
        )
    return (
        f'<svg class="strip" viewBox="0 0 {widest} 100" preserveAspectRatio="none" role="img" '
        f'tabindex="0" aria-label="{escape(name)}: {unit(resource)} per question; '
        'arrow keys read the bars">'
        f"{''.join(parts)}</svg>"
    )


def pareto_chart(rows: Sequence[CompareRow], resource: str, name: str) -> tuple[str, Legend]:
    """Accuracy against spend, a line per strategy with its interval.

    A filled mark is on the frontier: no other point is as accurate for less.
    """
    drawn = [
        (r, r.spent, r.accuracy) for r in rows if r.spent is not None and r.accuracy is not None
    ]
    # `auto` takes the first colour wherever it stands, and is drawn last, on top.
    strategies = sorted(dict.fromkeys(r.strategy for r in rows), key=lambda name: name != "auto")
    spends = [spent for _, spent, _ in drawn if spent > 0]
    ends = [e for r, _, a in drawn for e in (a, r.low, r.high) if e is not None]
    wide = bool(spends) and max(spends) / min(spends) > 4
    chart = Chart(
        axis(f"spent, {unit(resource)}", spends, short, log=wide),
        axis("accuracy, %", ends, lambda v: f"{100 * v:.3g}", from_zero=False),
    )
    legend: Legend = []
    for i, strategy in reversed(list(enumerate(strategies))):
        style, shape = f"s{i % 8}", SHAPES[i % len(SHAPES)]
        strong = " strong" if strategy == "auto" else ""
        mine = sorted((p for p in drawn if p[0].strategy == strategy), key=lambda p: p[1])
        lows = [(spent, r.low) for r, spent, _ in mine if r.low is not None]
        highs = [(spent, r.high) for r, spent, _ in mine if r.high is not None]
        if len(lows) > 1:
            chart.band(lows, highs, style + strong)
        elif lows and highs:
            chart.whisker(lows[0][0], lows[0][1], highs[0][1], style)
        chart.line([(s, a) for _, s, a in mine], style + strong)
        for r, spent, accuracy in mine:
            beaten = any(
                s <= spent and a >= accuracy and (s, a) != (spent, accuracy) for _, s, a in drawn
            )
            tip = f"{strategy}: {share(accuracy)} ({share(r.low)} to {share(r.high)})"
            tip += f" at {format_amount(resource, spent)}"
            chart.mark((spent, accuracy), shape, f"{style} {'hollow' if beaten else 'filled'}", tip)
        legend.insert(0, (f"{style} filled", shape, strategy))
    return chart.svg(name, "Accuracy against spend; arrow keys read the points"), legend
