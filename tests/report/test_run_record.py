"""The run record: what it accepts, and what it says about what it does not."""

import json
from pathlib import Path
from typing import Any

import pytest

from bursar.budget import Line
from bursar.errors import BadInput
from bursar.receipt import Receipt
from bursar.report.record import (
    CompareRecord,
    SolveRecord,
    load_record,
    parse_record,
    receipt_record,
)
from bursar.report.serving_record import PlanRecord, SimulateRecord
from bursar.usage import Usage


def test_kinds_are_told_apart(request: pytest.FixtureRequest) -> None:
    for name, kind in (
        ("solve_data", SolveRecord),
        ("compare_data", CompareRecord),
        ("simulate_data", SimulateRecord),
        ("plan_data", PlanRecord),
    ):
        assert type(parse_record(request.getfixturevalue(name))) is kind


def test_a_record_survives_its_file(solve_data: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(solve_data), encoding="utf-8")
    record = load_record(tmp_path)
    assert record == load_record(tmp_path / "run.json") == parse_record(solve_data)
    assert parse_record(record.model_dump()) == record


def test_a_key_of_a_newer_version_is_ignored(solve_data: dict[str, Any]) -> None:
    assert parse_record({**solve_data, "mood": "good"}) == parse_record(solve_data)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "sing"}, "sing"),
        ({"seed": "lucky"}, "seed"),
        ({"accuracy": 1.2}, "accuracy"),
        ({"limit": {"tokens": float("inf")}}, "limit"),
        ({"rounds": [{"round": 0, "spent": -1}]}, "rounds.0.spent"),
    ],
)
def test_a_wrong_value_is_named(
    solve_data: dict[str, Any], change: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        parse_record({**solve_data, **change})


@pytest.mark.parametrize(
    ("data", "change", "said"),
    [
        ("simulate_data", {"slo_attainment": 2}, "slo_attainment"),
        ("simulate_data", {"distributions": {"e2e_s": {"seconds": [1], "shares": []}}}, "shares"),
        ("simulate_data", {"timeline": {"width_seconds": 1, "until_seconds": 1, "watts": None,
                                        "waiting": [1, 2], "running": [1], "blocks": [1]}},
         "not equally long"),
        ("plan_data", {"fleet": []}, "not equally long"),
        ("plan_data", {"probability": 2}, "probability"),
    ],
)  # fmt: skip
def test_a_wrong_serving_value_is_named(
    request: pytest.FixtureRequest, data: str, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        parse_record({**request.getfixturevalue(data), **change})


@pytest.mark.parametrize("text", ["", '{"kind": "solve", "comm', "[]", '{"kind": "solve"}'])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "run.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=r"run\.json"):
        load_record(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"run\.json: No such file"):
        load_record(tmp_path / "run.json")


def test_a_receipt_adds_up_by_account_and_what() -> None:
    def line(path: str, what: str, out: float, usd: float | None) -> Line:
        usage = Usage(tokens_in=10, tokens_out=out, usd=usd)
        return Line(path, what, usage, usage, Usage(tokens_in=10, tokens_out=20))

    lines = [
        line("job/q1", "sample", 5, 0.1),
        line("job/q2", "sample", 7, None),
        line("job/q2", "score", 0, 0.2),
    ]
    record = receipt_record(Receipt.from_lines(lines, {"tokens": 100}), "tokens")
    sample, score = record.lines
    assert (sample.account, sample.what, sample.calls) == ("job", "sample", 2)
    assert (sample.tokens_out, sample.measured, sample.predicted) == (12, 32, 60)
    assert sample.usd is None  # one call hid its dollars, so their sum is not known
    assert score.usd == pytest.approx(0.2)
    assert record.spent == {"tokens": 42}
    assert record.limit == {"tokens": 100}
