"""The HTML report: whole, self-contained, honest about what is not known."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bursar.report import page, parse_record, write_page

VOID = {"meta", "path", "rect", "polyline", "polygon"}


class Balance(HTMLParser):
    """Notes tags that are closed in the wrong order or never, and every attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def read(text: str) -> Balance:
    parsed = Balance()
    parsed.feed(text)
    return parsed


@pytest.fixture(params=["solve_data", "compare_data", "simulate_data", "plan_data"])
def data(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = request.getfixturevalue(request.param)
    return found


def test_the_page_is_well_formed_and_needs_nothing_else(data: dict[str, Any]) -> None:
    text = page(parse_record(data))
    parsed = read(text)
    assert parsed.wrong == []
    assert parsed.open == []
    assert not {"src", "href"} & {name for name, _ in parsed.attributes}
    assert not re.search(r"https?://|@import|url\(|fetch\(", text)


def test_equal_records_give_equal_pages(data: dict[str, Any], tmp_path: Path) -> None:
    record = parse_record(data)
    file = write_page(record, tmp_path / "report.html")
    assert file.read_text(encoding="utf-8") == page(parse_record(record.model_dump()))


def test_what_is_given_is_shown_as_text_not_run(solve_data: dict[str, Any]) -> None:
    evil = '"><script>alert(1)</script>'
    for key in ("command", "strategy", "model", "task"):
        solve_data[key] = evil
    for key in ("id", "task", "level", "answer", "stopped"):
        solve_data["questions"][0][key] = evil
    solve_data["baselines"][0]["strategy"] = evil
    solve_data["receipt"]["lines"][0]["account"] = evil
    solve_data["settings"] = {evil: evil}
    text = page(parse_record(solve_data))
    assert text.count("<script>") == 1
    assert "alert(1)" in text
    assert read(text).wrong == []


def test_unknown_is_never_shown_as_zero(solve_data: dict[str, Any]) -> None:
    text = page(parse_record(solve_data))
    assert '<dd class="big">–</dd>' in text  # the accuracy: one question could not be graded
    assert "not known; 3 of 4 questions answered, 2 believed right" in text
    (row,) = re.findall(r"<tr>(<td[^>]*>d</td>.*?)</tr>", text)
    assert re.findall(r">([^<]+)</td>", row) == ["d", "chain 8", "–", "unknown", *"––––"]


def test_the_headline_says_right_spent_and_price(solve_data: dict[str, Any]) -> None:
    solve_data |= {"correct": 3, "accuracy": 0.75, "low": 0.3, "high": 0.95}
    text = page(parse_record(solve_data))
    big = re.findall(r'<dd class="big">([^<]+)</dd>', text)
    assert big == ["75.0 %", "25.0 %", "800 tokens", "0.5"]
    assert "3 of 4 questions; 30.0 % to 95.0 %" in text
    assert "80.0 % of 1k tokens; predicted 900 tokens" in text


def test_it_says_why_each_arm_was_bought_and_why_a_question_was_left(
    solve_data: dict[str, Any],
) -> None:
    left = {"arm": "tiny-1m", "attempts": 2, "gain": 0.004, "cost": 31, "asked": 0.0003}
    solve_data["questions"][0] |= {"stopped": "price", "next": left}
    line = {"kind": "chain", "arm": "tiny-1m", "attempts": 12, "cost": 800, "gain": 2}
    solve_data["arms"] = [line | {"asked": 0.001, "chance": 0.5}]
    text = page(parse_record(solve_data))
    said = "price: 2 more by tiny-1m would buy +0.4 points for 31 tokens; the price asks 0.93"
    assert said in text
    cells = "".join(f'<td class="n">{x}</td>' for x in ("12", "800", "2.5", "1", "50 %"))
    assert cells in text


def test_bars_are_as_high_as_the_spend(solve_data: dict[str, Any]) -> None:
    text = page(parse_record(solve_data))
    strips = re.findall(r'<svg class="strip".*?</svg>', text)
    bars = [re.findall(r'class="mark (.+?)" .*? height="([\d.]+)"', s) for s in strips]
    assert bars == [
        [("right", "25.0"), ("wrong", "100.0")],  # 100 and 400 tokens
        [("right", "75.0"), ("unknown hollow", "2.0")],
    ]


def test_a_run_limited_in_dollars_shows_dollars(solve_data: dict[str, Any]) -> None:
    for i, question in enumerate(solve_data["questions"], start=1):
        question["usd"] = 0.25 * i
    solve_data |= {"resource": "usd", "limit": {"usd": 3}, "spent": {"usd": 2.5}}
    text = page(parse_record(solve_data))
    assert "USD per question, 0 to 1.00" in text
    assert "spent, USD" in text


def test_a_run_without_rounds_or_questions_still_has_a_page(solve_data: dict[str, Any]) -> None:
    solve_data |= {"questions": [], "rounds": [], "baselines": [], "receipt": {}}
    solve_data |= {"price": {}, "predicted": {}, "settings": {}, "limit": {"tokens": 0}}
    assert read(page(parse_record(solve_data))).wrong == []


def test_filled_marks_are_the_frontier(compare_data: dict[str, Any]) -> None:
    text = page(parse_record(compare_data))
    marks = re.findall(r'class="mark s\d (filled|hollow)"[^>]*data-tip="([^"]+)"', text)
    assert {tip.split(" (")[0]: filled for filled, tip in marks} == {
        "auto: 70.0 %": "filled",
        "vote: 50.0 %": "hollow",
        "vote: 60.0 %": "hollow",
    }


def test_a_large_run_stays_a_small_file(solve_data: dict[str, Any]) -> None:
    four = solve_data["questions"]
    solve_data["questions"] = [{**q, "id": f"{q['id']}{i}"} for i in range(250) for q in four]
    assert len(page(parse_record(solve_data))) < 600_000  # 1,000 questions
