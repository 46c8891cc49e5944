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
            count(row.seeds),
        )
        for row in record.rows
    )
    head = ("task", "model", "strategy", "budget", "spent", "accuracy", "interval", "seeds")
    return "\n".join(
        (
            "<h1>Strategies at equal budgets</h1>",
            f"<p><code>{escape(record.command)}</code></p>",
            f'<p class="soft">Bands are the {escape(record.interval)}. A filled mark is on the '
            "frontier: nothing else is as accurate for less.</p>",
            f'<div class="two">{"".join(charts)}</div>',
            section("All figures", "", table(head, lines, numeric=range(3, 8))),
            facts(
                "Settings",
                {"version": record.version, "started": record.started, **record.settings},
            ),
        )
    )
