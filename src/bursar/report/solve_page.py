"""The page of `bursar solve`: what was right, where the budget went, the receipt."""

from html import escape
from typing import Literal

from bursar.report.charts import accuracy_chart, price_chart, question_strip
from bursar.report.elements import cards, facts, legend, section, table
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
    why,
    worth,
)
from bursar.report.record import QuestionLine, SolveRecord
from bursar.units import format_amount


def solve_body(record: SolveRecord) -> str:
    """What stands between the page's head and its end."""
    chart, key = accuracy_chart(record)
    prices = price_chart(record)
    charts = section(
        "Right answers against spend",
        "What had been spent after each round, and what was right by then.",
        legend(key) + chart,
    )
    if prices is not None:
        charts += section(
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
            _why(record),
            _receipt(record),
            facts(
                "Settings",
                {
                    "version": record.version,
                    "started": record.started,
                    "seed": record.seed,
                    "strategy": record.strategy,
                    "model": record.model,
                    **record.settings,
                },
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
    shown = [
        ("Right answers", share(record.accuracy), right),
        ("Spent", format_amount(key, record.spent.get(key)), _used(record)),
        ("Last price", price_number(last, key), f"right answers that {per_unit} more would buy"),
    ]
    beside = [b for b in record.baselines if limit is None or b.spent <= limit * 1.001]
    if beside:
        best = max(beside, key=lambda b: b.accuracy)
        spend = format_amount(key, best.spent)
        shown.insert(1, (f"Beside: {best.strategy}", share(best.accuracy), f"with {spend}"))
    return cards(shown)


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
    kinds = [(f"{name} filled", square, word) for name, word in words.items() if name in seen]
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
            why(q, record.resource),
        )
        for q in record.questions
    )
    head = ("question", "level", "answer", "is", "belief", "samples", "tokens", "USD", "stopped")
    every = table(head, lines, numeric=range(4, 8))
    return section(
        "Where the budget went",
        "One bar per question, as high as what it took; sorted by outcome, then by spend.",
        f"{legend(kinds)}{strips}<details><summary>Every question</summary>{every}</details>",
    )


def _why(record: SolveRecord) -> str:
    """What was bought for which kind of question, and what it was believed to pay."""
    if not record.arms:
        return ""
    key = record.resource
    per, name = price_unit(key)[1], unit(key)
    head = ("kind", "bought", "attempts", name, f"right per {per}, believed", "the price asked",
            "one attempt is right")  # fmt: skip
    lines = (
        (
            line.kind,
            line.arm,
            count(line.attempts),
            dollars(line.cost) if key == "usd" else count(float(f"{line.cost:.3g}")),
            worth(line.gain, line.cost, key),
            price_number(line.asked, key),
            share(line.chance, 0),
        )
        for line in record.arms
    )
    return section(
        "Why it was bought",
        "For each kind of question: what was bought, how many more right answers that was believed "
        "to make, and what the price asked at the time. Why each question was left as it is stands "
        "with the questions, above.",
        table(head, lines, numeric=range(2, 7)),
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
    return section(
        "Receipt", "What was charged, by account.", total + table(head, lines, numeric=range(2, 9))
    )
