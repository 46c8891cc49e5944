"""The same figures in a terminal."""

from io import StringIO
from typing import Any

from rich.console import Console

from bursar.report import CompareRecord, SolveRecord, compare_tables, parse_record, solve_tables
from bursar.report.format import amounts, counted_order, difference, dollars, price, share


def shown(tables: list[Any]) -> str:
    console = Console(width=140, record=True, file=StringIO())
    for table in tables:
        console.print(table)
    return console.export_text()


def test_solve_shows_the_run_beside_its_baseline(solve_data: dict[str, Any]) -> None:
    record = parse_record({**solve_data, "correct": 3, "accuracy": 0.75})
    assert isinstance(record, SolveRecord)
    text = shown(solve_tables(record))
    assert "75.0 %" in text
    assert "3 of 4" in text
    assert "25.0 % │ 10.0 % to 40.0 %" in text
    assert "last price: 0.5 right answers per 1k tokens" in text
    assert "−20 %" in text  # 800 measured, 1,000 predicted
    assert "spent 800 tokens of 1k tokens" in text


def test_unknown_is_a_word(solve_data: dict[str, Any]) -> None:
    record = parse_record({**solve_data, "price": {}})
    assert isinstance(record, SolveRecord)
    text = shown(solve_tables(record))
    assert "unknown" in text
    assert "last price: unknown" in text
    assert " 0.0 %" not in text


def test_a_receipt_without_predictions_has_no_column_for_them(solve_data: dict[str, Any]) -> None:
    solve_data["receipt"]["lines"][0]["predicted"] = None
    record = parse_record(solve_data)
    assert isinstance(record, SolveRecord)
    heads = [column.header for column in solve_tables(record)[1].columns]
    assert heads == ["what", "calls", "tokens in", "tokens out", "tokens"]


def test_levels_sort_as_numbers() -> None:
    names = ["chain 10", "chain 9", "countdown 3", "other", "chain 1"]
    assert sorted(names, key=counted_order) == [
        *("chain 1", "chain 9", "chain 10"),
        *("countdown 3", "other"),
    ]


def test_compare_has_budgets_across(compare_data: dict[str, Any]) -> None:
    record = parse_record(compare_data)
    assert isinstance(record, CompareRecord)
    (table,) = compare_tables(record)
    assert [c.header for c in table.columns] == ["strategy", "1k tokens", "2k tokens"]
    assert list(table.columns[1].cells) == ["50.0 % ±10.0", "[bold]70.0 % ±10.0[/bold]"]
    assert list(table.columns[2].cells) == ["[bold]60.0 % ±10.0[/bold]", "–"]


def test_numbers_for_people() -> None:
    assert (share(None), share(0.7831), share(0)) == ("–", "78.3 %", "0.0 %")
    assert (dollars(None), dollars(0), dollars(0.00213), dollars(12.5)) == (
        *("–", "0.00"),
        *("0.00213", "12.50"),
    )
    assert amounts({"tokens": 2000, "usd": None}) == "2k tokens, unknown USD"
    assert amounts({}) == "–"
    assert (difference(100, 100), difference(0, 5), difference(100, 112)) == ("0 %", "–", "+12 %")
    assert price(2e-5, "tokens") == "0.02 right answers per 1k tokens"
    assert price(0.3, "usd") == "0.3 right answers per 1 USD"
    assert price(1e-12, "flops") == "1 right answers per 1T flops"
