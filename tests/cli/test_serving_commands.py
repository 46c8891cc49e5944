"""`bursar simulate` and `bursar plan`: what they print, their JSON, and what they refuse."""

from pathlib import Path

import numpy as np
import pytest

from bursar.units import RESOURCES
from bursar.workload.traces import Trace, write_trace
from command_line import bursar

LATENCY = {"mean", "p50", "p90", "p99"}
ON = ("--model", "llama-3.1-8b", "--trace", "trace.csv")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    arrival = np.cumsum(rng.exponential(0.2, 200))
    write_trace(Trace(arrival, rng.integers(10, 2000, 200), rng.integers(1, 200, 200)), "trace.csv")


def test_simulate_gives_what_scripts_rely_on() -> None:
    ran = bursar("simulate", *ON, "--device", "l40s", "--ttft", "2 s", "--tpot", "60 ms", "--json")
    assert ran.code == 0, ran.err
    found = ran.document
    assert found["requests"] == found["completed"] == 200
    for name in ("ttft_s", "tpot_s", "e2e_s"):
        assert set(found[name]) == LATENCY
        assert found[name]["p50"] <= found[name]["p90"] <= found[name]["p99"]
    assert 0 <= found["slo_attainment"] <= 1
    assert set(found["usage"]) == set(RESOURCES)
    assert found["wall_seconds"] > 0
    assert "200 of 200 requests served" in ran.err


def test_more_replicas_wait_less_and_cost_more() -> None:
    few, many = (
        bursar("simulate", *ON, "--device", "l4", "--replicas", n, "--speed", "4", "--json")
        for n in ("1", "4")
    )
    assert many.document["ttft_s"]["p99"] < few.document["ttft_s"]["p99"]
    assert many.document["devices"] == 4


def test_plan_gives_what_scripts_rely_on() -> None:
    ran = bursar("plan", *ON, "--devices", "l4,l40s", "--ttft", "2 s", "--tpot", "60 ms", "--json")
    assert ran.code == 0, ran.err
    found = ran.document
    assert found["feasible"]
    assert found["slo_attainment"] >= 0.99
    parts = found["fleet"]
    assert {"device", "count", "tp", "pp", "ep", "replicas", "policy"} <= set(parts[0])
    assert found["usd_per_hour"] > 0
    assert 0 <= found["gap"] < 0.01
    assert found["price"] > 0
    assert 0 <= found["probability"] <= 1
    alone = {row["devices"][0]: row["usd_per_hour"] for row in found["frontier"]}
    assert set(alone) == {"l4", "l40s"}
    assert found["usd_per_hour"] <= min(alone.values()) * 1.05
    assert len(found["commands"]["vllm"]) == len(parts)
    assert found["kubernetes"]["items"][0]["spec"]["replicas"] == parts[0]["replicas"]
    assert "vllm serve llama-3.1-8b" in ran.err


def test_plan_for_a_budget_stays_within_it() -> None:
    found = bursar(
        *("plan", *ON, "--devices", "l4", "--tpot", "60 ms", "--budget", "5 USD/h", "--json")
    ).document
    assert found["usd_per_hour"] <= 5
    assert found["requests_per_second"] > 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("simulate", *ON, "--device", "h1000"), 2, "h1000"),
        (("simulate", *ON, "--device", "l4", "--policy", "magic"), 2, "unknown policy 'magic'"),
        (("simulate", *ON, "--device", "l4", "--ttft", "2"), 2, "no unit"),
        (("simulate", *ON, "--device", "l4", "--ttft", "2 USD"), 2, "give a time"),
        (("simulate", *ON, "--device", "l4", "--speed", "-1"), 2, "factor is -1"),
        (("simulate", *ON, "--device", "l4", "--replicas", "0"), 2, "replicas = 0"),
        (("simulate", *ON[:2], "--trace", "none.csv", "--device", "l4"), 2, "none.csv"),
        (("simulate", "--model", "llama-3.1-70b", *ON[2:], "--device", "l4"), 1, "KV cache"),
        (("plan", *ON, "--devices", "l4", "--tpot", "0.01 ms"), 1, "alone on the fastest"),
        (("plan", *ON, "--budget", "20 USD"), 2, "dollars an hour"),
        (("plan", *ON, "--budget", "0.01 USD/h", "--devices", "l4"), 1, "smallest costs"),
        (("plan", *ON, "--devices", "rtx-4090"), 2, "no rental price"),
        (("plan", *ON, "--attainment", "99"), 2, "--attainment is 99"),
    ],
)
def test_what_is_refused(arguments: tuple[str, ...], code: int, says: str) -> None:
    ran = bursar(*arguments)
    assert ran.code == code, ran.err
    assert len(ran.errors) == 1
    assert says in " ".join(ran.err.split())
    assert "Traceback" not in ran.err


def test_a_trace_with_negative_times_names_the_line() -> None:
    Path("bad.csv").write_text("arrival_s,input_tokens,output_tokens\n0,10,5\n-1,10,5\n")
    ran = bursar("simulate", *ON[:2], "--trace", "bad.csv", "--device", "l4")
    assert ran.code == 2
    assert "bad.csv:3" in ran.err
