"""The page of `bursar compare`: a chart for each task and model, and all figures."""

from html import escape

from bursar.report.charts import pareto_chart
from bursar.report.elements import facts, legend, section, table
from bursar.report.format import UNKNOWN, count, share
from bursar.report.record import CompareRecord
from bursar.units import format_amount


def compare_body(record: CompareRecord) -> str:
    """What stands between the page's head and its end."""
    charts = []
    for i, ((task, model), rows) in enumerate(record.panels().items()):
        chart, key = pareto_chart(rows, record.resource, f"pareto{i}")
        charts.append(section(f"{task}, {model}", "", legend(key) + chart))
    lines = (
        (
            row.task,
            row.model,
            row.strategy,
            format_amount(record.resource, row.budget),
            format_amount(record.resource, row.spent),
            share(row.accuracy),
            f"{share(row.low)} to {share(row.high)}" if row.low is not None else UNKNOWN,
            _ahead(row.ahead, row.ahead_low, row.ahead_high),
            share(row.front, 0),
            count(row.seeds),
        )
        for row in record.rows
    )
    head = (
        "task", "model", "strategy", "budget", "spent", "accuracy", "interval",
        f"ahead of {record.reference}", "on the frontier", "seeds",
    )  # fmt: skip
    return "\n".join(
        (
            "<h1>Strategies at equal budgets</h1>",
            f"<p><code>{escape(record.command)}</code></p>",
            f'<p class="soft">Bands are the {escape(record.interval)}. A filled mark is on the '
            "frontier: nothing else is as accurate for less.</p>",
            _leaderboard(record),
            f'<div class="two">{"".join(charts)}</div>',
            section(
                "All figures",
                "Questions are drawn again with replacement, the same for everyone, for what a "
                "strategy is ahead of another and how often it is on the frontier.",
                table(head, lines, numeric=range(3, 10)),
            ),
            facts(
                "Settings",
                {"version": record.version, "started": record.started, **record.settings},
            ),
        )
    )


def _leaderboard(record: CompareRecord) -> str:
    """Who is best over all budgets, task by task."""
    head = ("task", "place", "strategy", "model", "mean accuracy", "interval", "first")
    lines, place, task = [], 0, ""
    for who in record.places:
        place, task = (place + 1 if who.task == task else 1), who.task
        lines.append(
            (
                who.task,
                str(place),
                who.strategy,
                who.model,
                share(who.area),
                f"{share(who.low)} to {share(who.high)}",
                share(who.first, 0),
            )
        )
    if not lines:
        return ""
    text = (
        "Accuracy averaged over the logarithm of the budget: the area under each frontier. "
        "First: in which share of the resamples nobody was better."
    )
    return section("Leaderboard", text, table(head, lines, numeric=range(4, 7)))


def _ahead(ahead: float | None, low: float | None, high: float | None) -> str:
    if ahead is None or low is None or high is None:
        return UNKNOWN
    return f"{100 * ahead:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
