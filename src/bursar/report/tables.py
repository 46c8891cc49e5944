"""The same for a terminal: rich tables of a run, of a comparison, and the receipt."""

from rich.table import Table
from rich.text import Text

from bursar.report.format import (
    UNKNOWN,
    amounts,
    count,
    price,
    receipt_cells,
    share,
    unit,
)
from bursar.report.record import CompareRecord, CompareRow, SolveRecord
from bursar.units import format_amount


def solve_tables(record: SolveRecord) -> list[Table]:
    """The strategy beside the baselines, then the receipt."""
    asked = len(record.questions)
    title = f"{record.task}: {asked} questions, limit {amounts(record.limit)}"
    table = _table(title, ("strategy", "accuracy", "interval", "spent", "right"))
    spent = format_amount(record.resource, record.spent.get(record.resource))
    right = f"{count(record.correct)} of {asked}" if record.correct is not None else "unknown"
    accuracy = "unknown" if record.accuracy is None else share(record.accuracy)
    interval = _interval(record.low, record.high)
    table.add_row(record.strategy, accuracy, interval, spent, right, style="bold")
    for b in record.baselines:
        interval = _interval(b.low, b.high)
        spend = format_amount(record.resource, b.spent)
        right = f"{count(round(b.accuracy * asked))} of {asked}"
        table.add_row(b.strategy, share(b.accuracy), interval, spend, right)
    table.caption = f"last price: {price(record.price.get(record.resource), record.resource)}"
    return [table, receipt_table(record)]


def receipt_table(record: SolveRecord) -> Table:
    """What was charged, by account, with the total against the limit.

    One account is named once, in the title, so that the table fits a terminal of 80 columns.
    """
    receipt, name = record.receipt, record.resource
    accounts = list(dict.fromkeys(line.account for line in receipt.lines))
    alone = len(accounts) == 1
    usd = any(line.usd is not None for line in receipt.lines)
    guessed = any(line.predicted is not None for line in receipt.lines)
    title = f"receipt of {accounts[0]}" if alone else "receipt"
    head = ("what" if alone else "account", "calls", "tokens in", "tokens out")
    table = _table(
        title,
        (*head, *(("USD",) if usd else ()), unit(name), *(("predicted", "off") if guessed else ())),
    )
    table.columns[0].no_wrap, table.columns[0].overflow = False, "fold"
    for line in receipt.lines:
        calls, came, went, dollars, *compared = receipt_cells(line)
        what = line.what if alone else f"{line.account} {line.what}".strip()
        cells = [calls, came, went, *((dollars,) if usd else ()), compared[0]]
        table.add_row(Text(what), *cells, *(compared[1:] if guessed else ()))
    shown = (
        f"{format_amount(name, receipt.spent.get(name))} of {format_amount(name, limit)}"
        for name, limit in receipt.limit.items()
    )
    table.caption = f"spent {', '.join(shown) or amounts(receipt.spent)}"
    return table


def compare_tables(record: CompareRecord) -> list[Table]:
    """One table per task and model: strategies down, budgets across, the best of each in bold."""
    tables = []
    for (task, model), rows in record.panels().items():
        budgets = sorted({row.budget for row in rows})
        best: dict[float, float] = {}
        for row in rows:
            if row.accuracy is not None:
                best[row.budget] = max(row.accuracy, best.get(row.budget, 0.0))
        heads = [format_amount(record.resource, b) for b in budgets]
        table = _table(f"{task}, {model}: accuracy", ("strategy", *heads))
        for strategy in dict.fromkeys(row.strategy for row in rows):
            mine = {row.budget: row for row in rows if row.strategy == strategy}
            table.add_row(strategy, *(_cell(mine.get(b), best.get(b)) for b in budgets))
        table.caption = f"± half of the {record.interval}"
        tables.append(table)
    return [*tables, *_leaderboards(record)]


def _leaderboards(record: CompareRecord) -> list[Table]:
    """Who is best over all budgets, where there are several."""
    if len({row.budget for row in record.rows}) < 2:
        return []
    several = len({place.model for place in record.places}) > 1
    tables = []
    for task in dict.fromkeys(place.task for place in record.places):
        table = _table(
            f"{task}: mean accuracy over log budget",
            ("strategy", *(("model",) if several else ()), "mean", "interval", "first"),
        )
        for place in record.places:
            if place.task == task:
                model = (place.model,) if several else ()
                table.add_row(
                    place.strategy, *model, share(place.area), _interval(place.low, place.high),
                    share(place.first, 0),
                )  # fmt: skip
        tables.append(table)
    return tables


def _cell(row: CompareRow | None, best: float | None) -> str:
    if row is None or row.accuracy is None:
        return UNKNOWN
    text = share(row.accuracy)
    if row.low is not None and row.high is not None:
        text += f" ±{100 * (row.high - row.low) / 2:.1f}"
    return f"[bold]{text}[/bold]" if row.accuracy == best else text


def _interval(low: float | None, high: float | None) -> str:
    return UNKNOWN if low is None or high is None else f"{share(low)} to {share(high)}"


def _table(title: str, head: tuple[str, ...]) -> Table:
    table = Table(title=Text(title), title_justify="left", caption_justify="left")
    for i, name in enumerate(head):
        table.add_column(name, justify="right" if i else "left", no_wrap=i == 0)
    return table
