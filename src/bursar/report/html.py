"""One HTML file for a run: works offline, light and dark, by keyboard and on a phone."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Literal

from bursar.report.charts import Legend, accuracy_chart, pareto_chart, price_chart, question_strip
from bursar.report.format import (
    UNKNOWN,
    amounts,
    clipped,
    count,
    counted_order,
    dollars,
    outcome,
    price_number,
    price_unit,
    receipt_cells,
    share,
    unit,
)
from bursar.report.record import CompareRecord, QuestionLine, Record, SolveRecord
from bursar.units import format_amount


def write_page(record: Record, file: Path) -> Path:
    """Write the report of `record` to `file`, whole or not at all, and return it."""
    part = file.with_name(file.name + ".part")
    try:
        part.write_text(page(record), encoding="utf-8")
        return part.replace(file)
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise


def page(record: Record) -> str:
    """The report as one self-contained document. Equal records give equal text."""
    if isinstance(record, SolveRecord):
        title, body = f"bursar: {record.task}, {record.strategy}", _solve(record)
    else:
        title, body = "bursar: strategies at equal budgets", _compare(record)
    style = files("bursar.report").joinpath("style.css").read_text("utf-8")
    script = files("bursar.report").joinpath("page.js").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n"
        f'<main>\n{body}\n</main>\n<div id="tip" role="status" hidden></div>\n'
        f"<script>\n{script}</script>\n</html>\n"
    )


def _solve(record: SolveRecord) -> str:
    chart, legend = accuracy_chart(record)
    prices = price_chart(record)
    charts = _section(
        "Right answers against spend",
        "What had been spent after each round, and what was right by then.",
        _legend(legend) + chart,
    )
    if prices is not None:
        charts += _section(
            "Price over time",
            "What the next unit had to buy to be bought: high while money is scarce for what "
            "there is to gain.",
            prices,
        )
    return "\n".join(
        (
            f"<h1>{escape(f'{record.task}: {record.strategy} with {record.model}')}</h1>",
            f"<p><code>{escape(record.command)}</code></p>",
            _headline(record),
            f'<div class="two">{charts}</div>',
            _where(record),
            _receipt(record),
            _settings(
                {
                    "version": record.version,
                    "started": record.started,
                    "seed": record.seed,
                    "strategy": record.strategy,
                    "model": record.model,
                    **record.settings,
                }
            ),
        )
    )


def _headline(record: SolveRecord) -> str:
    asked, key = len(record.questions), record.resource
    right = f"{count(record.correct)} of {count(asked)} questions"
    if record.low is not None and record.high is not None:
        right += f"; {share(record.low)} to {share(record.high)}"
    if record.correct is None:
        right = f"not known; {count(record.answered)} of {count(asked)} questions answered"
        if record.rounds and record.rounds[-1].expected_right is not None:
            right += f", {record.rounds[-1].expected_right:.0f} believed right"
    limit, last, per_unit = record.limit.get(key), record.price.get(key), price_unit(key)[1]
    cards = [
        ("Right answers", share(record.accuracy), right),
        ("Spent", format_amount(key, record.spent.get(key)), _used(record)),
        ("Last price", price_number(last, key), f"right answers that {per_unit} more would buy"),
    ]
    beside = [b for b in record.baselines if limit is None or b.spent <= limit * 1.001]
    if beside:
        best = max(beside, key=lambda b: b.accuracy)
        spend = format_amount(key, best.spent)
        cards.insert(1, (f"Beside: {best.strategy}", share(best.accuracy), f"with {spend}"))
    body = "".join(
        f'<div><dt>{escape(name)}</dt><dd class="big">{escape(value)}</dd>'
        f'<dd class="soft">{more}</dd></div>'
        for name, value, more in cards
    )
    return f'<dl class="cards">{body}</dl>'


def _used(record: SolveRecord) -> str:
    """How much of each limit was spent, as text over a bar."""
    parts = []
    for name, limit in record.limit.items():
        spent = record.spent.get(name)
        said = f"of {format_amount(name, limit)}"
        if name == record.resource and record.predicted.get(name) is not None:
            said += f"; predicted {format_amount(name, record.predicted[name])}"
        used = spent / limit if spent is not None and limit else None
        bar = "" if used is None else f'<div style="width: {100 * used:.2f}%"></div>'
        parts.append(f'{share(used)} {escape(said)}<div class="bar">{bar}</div>')
    return "".join(parts)


def _where(record: SolveRecord) -> str:
    """Where the budget went: a strip of bars per level, and every question in a table."""
    groups: dict[str, list[QuestionLine]] = {}
    for question in record.questions:
        groups.setdefault(f"{question.task} {question.level}".strip(), []).append(question)
    key: Literal["tokens", "usd"] = "usd" if record.resource == "usd" else "tokens"
    show = dollars if key == "usd" else count
    widest = max((len(g) for g in groups.values()), default=1)
    most = max((q.spent(key) or 0.0 for q in record.questions), default=0.0)
    rows = []
    for name, group in sorted(groups.items(), key=lambda item: counted_order(item[0])):
        known = [q.correct for q in group if q.correct is not None]
        spent = [s for q in group if (s := q.spent(key)) is not None]
        right = f"{sum(known)} of {len(group)}" if len(known) == len(group) else UNKNOWN
        each = total = UNKNOWN
        if len(spent) == len(group):
            total, mean = show(sum(spent)), sum(spent) / len(spent)
            each = show(mean if key == "usd" else round(mean))
        rows.append(
            f'<tr><th scope="row">{escape(name)}</th><td class="bars">'
            f'{question_strip(group, key, widest, most, name)}</td><td class="n">{right}</td>'
            f'<td class="n k">{each}</td><td class="n k">{total}</td></tr>'
        )
    name = unit(key)
    strips = (
        '<div class="wide"><table class="strips"><thead><tr><th>level</th>'
        f'<th>{name} per question, 0 to {show(most)}</th><th class="n">right</th>'
        f'<th class="n k">{name} each</th><th class="n k">{name} in all</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
    square = "M-7 -7h14v14h-14z"
    words = {"right": "right", "wrong": "wrong", "unknown": "not known"}
    seen = {outcome(q.correct) for q in record.questions}
    legend = [(f"{name} filled", square, word) for name, word in words.items() if name in seen]
    lines = (
        (
            q.id,
            f"{q.task} {q.level}",
            clipped(q.answer),
            outcome(q.correct),
            share(q.p_right, 0),
            count(q.samples),
            count(q.tokens),
            dollars(q.usd),
            q.stopped,
        )
        for q in record.questions
    )
    head = ("question", "level", "answer", "is", "belief", "samples", "tokens", "USD", "stopped")
    every = _table(head, lines, numeric=range(4, 8))
    return _section(
        "Where the budget went",
        "One bar per question, as high as what it took; sorted by outcome, then by spend.",
        f"{_legend(legend)}{strips}<details><summary>Every question</summary>{every}</details>",
    )


def _receipt(record: SolveRecord) -> str:
    receipt, key = record.receipt, record.resource
    name = unit(key)
    head = [
        *("account", "what", "calls", "tokens in", "tokens out", "USD"),
        *(f"measured, {name}", f"predicted, {name}", "off by"),
    ]
    lines = ((line.account, line.what, *receipt_cells(line)) for line in receipt.lines)
    total = f"<p>Spent {amounts(receipt.spent)}. Limit {amounts(receipt.limit)}.</p>"
    return _section(
        "Receipt", "What was charged, by account.", total + _table(head, lines, numeric=range(2, 9))
    )


def _compare(record: CompareRecord) -> str:
    charts = []
    for i, ((task, model), rows) in enumerate(record.panels().items()):
        chart, legend = pareto_chart(rows, record.resource, f"pareto{i}")
        charts.append(_section(f"{task}, {model}", "", _legend(legend) + chart))
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
            _section("All figures", "", _table(head, lines, numeric=range(3, 8))),
            _settings({"version": record.version, "started": record.started, **record.settings}),
        )
    )


def _section(title: str, says: str, body: str) -> str:
    said = f'<p class="soft">{escape(says)}</p>' if says else ""
    return f"<section><h2>{escape(title)}</h2>{said}{body}</section>"


def _legend(rows: Legend) -> str:
    items = []
    for style, shape, words in rows:
        # A bare line such as "M-11 0h22" has no area to fill.
        drawn = f'<path class="{"mark" if shape.endswith("z") else "line"} {style}" d="{shape}"/>'
        icon = f'<svg viewBox="-13 -8 26 16" aria-hidden="true">{drawn}</svg>'
        items.append(f"<li>{icon}{escape(words)}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'


def _table(head: Sequence[str], lines: Iterable[Sequence[str]], numeric: range) -> str:
    def cells(texts: Sequence[str], tag: str) -> str:
        return "".join(
            f'<{tag} class="{"n" if i in numeric else "t"}">{escape(text)}</{tag}>'
            for i, text in enumerate(texts)
        )

    rows = "".join(f"<tr>{cells(line, 'td')}</tr>" for line in lines)
    return (
        f'<div class="wide" tabindex="0"><table><thead><tr>{cells(head, "th")}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _settings(settings: dict[str, str | int | float | bool | None]) -> str:
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(UNKNOWN if value is None else str(value))}</dd>"
        for name, value in settings.items()
    )
    return _section("Settings", "", f'<dl class="settings">{rows}</dl>')
