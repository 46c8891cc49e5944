"""Every command's usual way: what it prints, and where, and the JSON that scripts rely on."""

import json
import re
from pathlib import Path

import pytest

from bursar.ledger import Ledger
from bursar.units import RESOURCES
from bursar.usage import Usage
from command_line import Ran, bursar

COMMANDS = (
    *("solve", "compare", "calibrate", "report", "cost", "catalog", "methods", "ledger"),
    *("simulate", "plan"),
)
SOLVE_KEYS = {
    *("questions", "answered", "correct", "accuracy", "limit", "spent", "predicted"),
    *("price", "run_dir"),
}
ROW_KEYS = {
    *("task", "model", "strategy", "budget", "spent", "accuracy", "low", "high", "seeds"),
}
SMALL = ("--questions", "9", "--model", "tiny-0.3m")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [{"prompt": f"{i} + 1?", "answer": "right", "level": "easy"} for i in range(8)]
    Path("sums.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")


def done(ran: Ran) -> Ran:
    """It ended well, and said so on the right stream."""
    assert ran.code == 0, ran.err
    assert "Traceback" not in ran.err
    assert not ran.errors
    return ran


def test_help_lists_the_commands() -> None:
    said = done(bursar("--help")).out
    assert [name for name in COMMANDS if re.search(rf"^│ {name} ", said, re.MULTILINE)] == [
        *COMMANDS
    ]
    assert bursar().code == 2


def test_solve() -> None:
    ran = done(bursar("solve", "mixed", *SMALL, "--budget", "4k tokens", "--json"))
    found = ran.document
    assert found.keys() >= SOLVE_KEYS
    assert ran.out.count("\n") == 1, "stdout is the document's alone"
    assert "receipt of solve/" in ran.err
    assert found["questions"] == 9
    assert found["limit"] == {"tokens": 4000}
    assert found["spent"].keys() >= {"tokens", *RESOURCES}
    assert found["spent"]["tokens"] <= 4000
    assert found["spent"]["usd"] is None, "unknown is null"
    assert found["accuracy"] == pytest.approx(found["correct"] / 9)
    assert found["low"] <= found["accuracy"] <= found["high"]
    assert found["price"]["tokens"] >= 0
    assert found["predicted"]["tokens"] > 0
    with Ledger(Path(found["run_dir"]) / "ledger.sqlite", create=False) as ledger:
        assert ledger.verify().entries
        assert ledger.totals("solve").spent.tokens == found["spent"]["tokens"]
    assert sum(line["measured"] for line in found["receipt"]) == found["spent"]["tokens"]


def test_solve_without_json_is_for_people() -> None:
    ran = done(bursar("solve", "sums.jsonl", "--model", "simulated", "--budget", "9k tokens"))
    assert ran.err == ""
    assert "report: runs/" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80


def test_every_model_is_on_the_receipt_and_the_baseline_has_a_limit_of_its_own() -> None:
    models = "simulated:right=2,wrong=1,simulated:median_tokens=40"
    ran = done(
        bursar("solve", "sums.jsonl", "--model", models, "--budget", "20k tokens", "--baseline",
               "self_consistency", "--ledger", "team.sqlite", "--json")
    )  # fmt: skip
    found = ran.document
    names = ["simulated:right=2,wrong=1", "simulated:median_tokens=40"]
    assert [line["what"] for line in found["receipt"]] == names
    assert {line["account"] for line in found["receipt"]} == {
        f"solve/{Path(found['run_dir']).name}"
    }
    (beside,) = found["baselines"]
    assert beside["spent"] <= 20_000
    assert beside["low"] < beside["accuracy"] < beside["high"] or beside["accuracy"] in (0, 1)
    with Ledger("team.sqlite", create=False) as ledger:
        ledger.verify()
        assert ledger.totals("solve").spent.tokens == found["spent"]["tokens"]
        assert ledger.totals("baseline").spent.tokens == beside["spent"]


def test_questions_that_nobody_can_grade() -> None:
    Path("open.jsonl").write_text('{"prompt": "why?"}\n{"prompt": "how?"}', encoding="utf-8")
    found = done(
        bursar("solve", "open.jsonl", "--model", "simulated", "--budget", "9k tokens", "--json")
    ).document
    assert (found["questions"], found["answered"]) == (2, 2)
    assert found["correct"] is found["accuracy"] is found["low"] is None


@pytest.mark.parametrize("strategy", ["auto", "self_consistency"])
def test_the_same_seed_spends_the_same(strategy: str) -> None:
    def once(seed: str) -> tuple[object, list[object]]:
        found = done(
            bursar("solve", "chain", *SMALL, "--budget", "2k tokens", "--strategy", strategy,
                   "--seed", seed, "--json")
        ).document  # fmt: skip
        record = json.loads((Path(found["run_dir"]) / "run.json").read_text("utf-8"))
        return found["spent"]["tokens"], record["questions"]

    first = once("3")
    assert first == once("3")
    assert first != once("4")


def test_compare() -> None:
    ran = done(
        bursar("compare", "sums.jsonl", "--model", "simulated", "--seeds", "2", "--budgets",
               "8k tokens, 16k tokens", "--json")
    )  # fmt: skip
    rows = ran.document["rows"]
    assert all(row.keys() >= ROW_KEYS for row in rows)
    assert {row["budget"] for row in rows} == {8000, 16000}
    assert all(row["spent"] <= row["budget"] and row["seeds"] == 2 for row in rows)
    assert all(row["low"] <= row["accuracy"] <= row["high"] for row in rows)
    strategies = {row["strategy"] for row in rows}
    assert "auto" in strategies
    assert "revision" not in strategies, "a simulated model can't revise, and nobody asked for it"
    assert (Path(ran.document["run_dir"]) / "report.html").is_file()
    assert "accuracy" in ran.err


def test_calibrate_and_solve_from_it() -> None:
    ran = done(
        bursar("calibrate", "chain", *SMALL, "--samples", "4", "--out", "known.json", "--json")
    )
    assert ran.document["profile"] == "known.json"
    assert ran.document["tasks"].keys() == {"chain"}
    assert ran.document["spent"]["tokens_out"] > 0
    assert "calibrated" in ran.err
    done(bursar("solve", "chain", *SMALL, "--budget", "2k tokens", "--profile", "known.json"))


def test_cost_on_a_device_and_at_a_list_price() -> None:
    found = done(
        bursar("cost", "--model", "llama-3.1-8b", "--device", "h100-sxm", "--json")
    ).document
    assert found.keys() >= {"usage", "low", "high", "tier"}
    for name in ("seconds", "flops"):
        assert found["low"][name] <= found["usage"][name] <= found["high"][name]
    prices = done(bursar("catalog", "prices", "--json")).document["prices"]
    hosted = done(bursar("cost", "--api", prices[0]["name"], "--json")).document
    assert hosted["usage"]["usd"] > 0


@pytest.mark.parametrize("table", ["devices", "models", "prices", "grids"])
def test_catalog(table: str) -> None:
    ran = done(bursar("catalog", table, "--json"))
    entries = ran.document[table]
    assert all(entry["source"] and entry["date"] for entry in entries)
    (one,) = done(bursar("catalog", table, entries[0]["name"], "--json")).document[table]
    assert one == entries[0]
    shown = done(bursar("catalog", table)).out
    assert max(map(len, shown.splitlines())) <= 80
    assert entries[-1]["name"][:12] in shown


def test_methods() -> None:
    found = done(bursar("methods", "--json")).document["methods"]
    keys = {"name", "package", "paper", "arxiv", "seeds_row", "claim_test"}
    assert all(method.keys() >= keys for method in found)
    assert {"Best-of-N", "Adaptive consistency"} <= {m["name"] for m in found}


def test_report_writes_the_page_again() -> None:
    folder = Path(
        done(bursar("solve", "sums.jsonl", "--model", "simulated", "--budget", "9k tokens",
                    "--json")).document["run_dir"]
    )  # fmt: skip
    page = folder / "report.html"
    before = page.read_text("utf-8")
    page.unlink()
    assert done(bursar("report", str(folder), "--json")).document == {"report": str(page)}
    assert page.read_text("utf-8") == before


def test_the_ledger_can_be_looked_into() -> None:
    run = done(
        bursar("solve", "sums.jsonl", "--model", "simulated", "--budget", "9k tokens", "--json")
    ).document
    place = f"{run['run_dir']}/ledger.sqlite"
    checked = done(bursar("ledger", "verify", place, "--json")).document
    assert checked["entries"] > 0
    assert len(checked["head"]) == 64
    accounts = done(bursar("ledger", "totals", place, "--json")).document["accounts"]
    assert [a["path"] for a in accounts] == ["solve", f"solve/{Path(run['run_dir']).name}"]
    assert accounts[1]["limits"] == {"tokens": 9000}
    entries = done(bursar("ledger", "show", place, "--last", "3", "--json")).document["entries"]
    assert [e["seq"] for e in entries] == list(
        range(checked["entries"] - 2, checked["entries"] + 1)
    )
    assert entries[-1]["hash"] == checked["head"]
    for command in ("totals", "show", "verify"):
        assert done(bursar("ledger", command, place)).out


def test_the_windows_of_an_account_are_shown() -> None:
    with Ledger("gateway.sqlite") as ledger:
        ledger.set_limits("key", "5 USD per day, 60 requests per rolling 1 h, 9 USD")
        ledger.reserve("key", [Usage(usd=1.5, requests=1)])
    shown = done(bursar("ledger", "totals", "gateway.sqlite", "--json"))
    assert "60 requests per rolling 1 h" in shown.err + shown.out
    (account,) = shown.document["accounts"]
    assert account["limits"] == {"usd": 9}
    hour, day = account["windows"]
    assert (day["window"], day["limit"], day["held"], day["spent"]) == ("day", 5, 1.5, 0)
    assert (hour["resource"], hour["held"]) == ("requests", 1)
    assert hour["resets_at"] > day["resets_at"] - 86400
