"""`bursar simulate` and `bursar plan`: what they print, their JSON, and what they refuse."""

import json
from pathlib import Path

import numpy as np
import pytest

from bursar.catalog import device
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


def test_a_fleet_that_scales_costs_less_than_its_peak_all_the_time() -> None:
    scaled = bursar(
        *("simulate", *ON, "--device", "l4", "--speed", "2", "--json"),
        *("--scale", "target_load", "--most-replicas", "4", "--cold-start", "5 s"),
    )
    assert scaled.code == 0, scaled.err
    replicas = scaled.document["replicas"]
    assert 1 < replicas <= 4
    fixed = bursar(
        "simulate", *ON, "--device", "l4", "--speed", "2", "--json", "--replicas", str(replicas)
    )
    rates = [
        run["usage"]["usd"] / run["usage"]["seconds"] for run in (scaled.document, fixed.document)
    ]
    assert rates[0] < 0.95 * rates[1]
    folder = Path(scaled.document["run_dir"])
    rented = json.loads((folder / "run.json").read_text("utf-8"))["timeline"]["replicas"]
    assert min(rented) >= 1
    assert "replicas rented" in (folder / "report.html").read_text("utf-8")


def test_prompts_that_begin_alike_are_computed_once_with_a_prefix_cache() -> None:
    lines = [f"{i},1000,10,{i % 2}" for i in range(20)]
    head = "arrival_s,input_tokens,output_tokens,prefix_id"
    Path("alike.csv").write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    on = ("simulate", *ON[:2], "--trace", "alike.csv", "--device", "l4", "--json")
    plain, cached = bursar(*on).document, bursar(*on, "--prefix-cache").document
    assert plain["prefix_hit_rate"] == 0
    assert cached["prefix_hit_rate"] > 0.8
    assert cached["ttft_s"]["p50"] < plain["ttft_s"]["p50"]


def test_a_folder_without_operator_tables_is_refused() -> None:
    Path("tables").mkdir()
    for folder, says in (("tables", "no operator tables"), ("absent", "is no folder")):
        ran = bursar("simulate", *ON, "--device", "l4", "--tables", folder)
        assert ran.code == 2
        assert says in " ".join(ran.err.split())


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
    rows = [row for row in found["frontier"] if row["alone"]]
    alone = {row["devices"][0]: row["usd_per_hour"] for row in rows}
    assert set(alone) == {"l4", "l40s"}
    assert found["usd_per_hour"] <= min(alone.values()) * 1.05
    assert len(found["commands"]["vllm"]) == len(parts)
    assert found["kubernetes"]["items"][0]["spec"]["replicas"] == parts[0]["replicas"]
    assert "vllm serve llama-3.1-8b" in ran.err


def test_plan_shows_the_front_and_takes_an_objective() -> None:
    on = ("plan", *ON, "--devices", "l40s,h100-sxm", "--tpot", "60 ms", "--json")
    cheap = bursar(*on).document
    front = [row for row in cheap["frontier"] if row["on_front"]]
    assert len(front) > 2
    axes = ("usd_per_1k_requests", "e2e_mean_s", "joules_per_request")
    for one in front:
        assert not any(all(two[a] < one[a] for a in axes) for two in front)
    fast, frugal = (bursar(*on, "--objective", o).document for o in ("latency", "energy"))
    assert fast["e2e_mean_s"] < frugal["e2e_mean_s"]
    assert frugal["joules_per_request"] < fast["joules_per_request"]
    assert frugal["joules_per_request"] <= 1.01 * cheap["joules_per_request"]
    few = bursar(*on, "--objective", "latency", "--budget", "2 GPUs").document
    assert few["gpus"] <= 2
    assert few["e2e_mean_s"] >= fast["e2e_mean_s"]


def test_plan_for_a_budget_stays_within_it() -> None:
    found = bursar(
        *("plan", *ON, "--devices", "l4", "--tpot", "60 ms", "--budget", "5 USD/h", "--json")
    ).document
    assert found["usd_per_hour"] <= 5
    assert found["requests_per_second"] > 0


def test_plan_may_pay_by_the_token_and_says_from_when_on_not() -> None:
    on = ("plan", *ON, "--devices", "l40s", "--tpot", "60 ms", "--speed", "0.01")
    ran = bursar(*on, "--market", "on-demand,hosted", "--json")
    found = ran.document
    assert found["hosted"]["share"] == pytest.approx(1)
    assert found["usd_per_hour"] == pytest.approx(found["hosted"]["usd_per_hour"])
    assert found["crossover_requests_per_second"] > found["requests_per_second"]
    assert "answers is not known" in " ".join(ran.err.split())
    assert bursar(*on, "--market", "hosted", "--json").document["probability"] is None
    spot = bursar(*on, "--market", "spot", "--spot-price", "0.3", "--json").document
    assert spot["usd_per_hour"] == pytest.approx(0.3 * device("l40s").usd_per_hour)
    assert spot["fleet"][0]["market"] == "spot"


def test_plan_for_power_and_gpus_prices_what_binds() -> None:
    found = bursar(
        *("plan", *ON, "--devices", "l40s", "--tpot", "60 ms"),
        *("--budget", "5 kW, 2 GPUs", "--json"),
    ).document
    assert found["gpus"] == 2
    assert found["watts"] <= 5000
    assert found["budget"] == {"watts": 5000, "gpus": 2}
    assert found["prices"]["gpus"] > 0
    assert found["prices"]["watts"] == 0
    assert found["price"] is None


PLAN = ("plan", *ON, "--devices", "l4", "--tpot", "60 ms")
SIMULATE = ("simulate", *ON, "--device", "l4")


@pytest.mark.parametrize("command", [SIMULATE, PLAN])
def test_the_run_folder_draws_the_report_again(command: tuple[str, ...]) -> None:
    ran = bursar(*command, "--runs", "kept", "--json")
    folder = Path(ran.document["run_dir"])
    assert folder.parent == Path("kept")
    assert {p.name for p in folder.iterdir()} == {"run.json", "report.html"}
    assert f"report: {folder / 'report.html'}" in ran.err
    page = (folder / "report.html").read_text("utf-8")
    (folder / "report.html").unlink()
    assert bursar("report", str(folder)).code == 0
    assert (folder / "report.html").read_text("utf-8") == page
    kept = json.loads((folder / "run.json").read_text("utf-8"))
    assert kept.items() >= {k: v for k, v in ran.document.items() if k != "run_dir"}.items()


def test_the_record_of_a_simulation_agrees_with_itself() -> None:
    folder = bursar(*SIMULATE, "--replicas", "2", "--json").document["run_dir"]
    kept = json.loads((Path(folder) / "run.json").read_text("utf-8"))
    line, curve = kept["timeline"], kept["distributions"]["ttft_s"]
    assert curve["seconds"] == sorted(curve["seconds"])
    assert curve["shares"][-1] == 1
    at = min(s for s, share in zip(curve["seconds"], curve["shares"], strict=True) if share >= 0.9)
    assert at == pytest.approx(kept["ttft_s"]["p90"], rel=0.05)
    assert 0 < max(line["blocks"]) <= kept["capacity_blocks"]
    last = line["until_seconds"] - (len(line["watts"]) - 1) * line["width_seconds"]
    joules = sum(line["watts"][:-1]) * line["width_seconds"] + line["watts"][-1] * last
    assert joules == pytest.approx(kept["usage"]["joules"], rel=0.01)
    each = kept["joules_per_request"] * kept["completed"]
    assert each == pytest.approx(kept["usage"]["joules"])


def test_the_plan_costs_by_request_what_it_costs_by_hour() -> None:
    found = bursar(*PLAN, "--json").document
    an_hour = found["usd_per_1k_requests"] * found["requests_per_second"] * 3.6
    assert an_hour == pytest.approx(found["usd_per_hour"])


@pytest.mark.parametrize("command", [SIMULATE, PLAN])
def test_a_folder_that_cannot_be_made(command: tuple[str, ...]) -> None:
    ran = bursar(*command, "--runs", "trace.csv/runs")
    assert ran.code == 2
    assert len(ran.errors) == 1
    assert "can't be made" in ran.err
    assert "--runs" in ran.err


@pytest.mark.parametrize("name", ["run.json.part", "report.html.part"])
@pytest.mark.parametrize("command", [SIMULATE, PLAN])
def test_a_disk_that_is_full_leaves_no_half_file(
    command: tuple[str, ...], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text = Path.write_text

    def full(path: Path, text: str, **options: str) -> int:
        if path.name == name:
            write_text(path, text[:100], **options)
            raise OSError(28, "No space left on device")
        return write_text(path, text, **options)

    monkeypatch.setattr(Path, "write_text", full)
    ran = bursar(*command, "--runs", "runs")
    assert ran.code == 2
    assert "No space left on device" in ran.err
    left = [p.name for p in Path("runs").rglob("*") if p.is_file()] if Path("runs").exists() else []
    assert left == ([] if name == "run.json.part" else ["run.json"])
    for folder in Path().glob("runs/*"):
        json.loads((folder / "run.json").read_text("utf-8"))


def test_what_is_refused_leaves_no_folder() -> None:
    assert bursar("simulate", "--model", "llama-3.1-70b", *ON[2:], "--device", "l4").code == 1
    assert bursar("plan", *ON, "--devices", "l4", "--tpot", "0.01 ms").code == 1
    assert bursar("simulate", *ON[:2], "--trace", "none.csv", "--device", "l4").code == 2
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("simulate", *ON, "--device", "h1000"), 2, "h1000"),
        (("simulate", *ON, "--device", "l4", "--policy", "magic"), 2, "unknown policy 'magic'"),
        (("simulate", *ON, "--device", "l4", "--scale", "up"), 2, "unknown scale 'up'"),
        (
            ("simulate", *ON, "--device", "l4", "--scale", "target_load", "--most-replicas", "0"),
            *(2, "maximum = 0"),
        ),
        (("simulate", *ON, "--device", "l4", "--ttft", "2"), 2, "no unit"),
        (("simulate", *ON, "--device", "l4", "--ttft", "2 USD"), 2, "give a time"),
        (("simulate", *ON, "--device", "l4", "--speed", "-1"), 2, "factor is -1"),
        (("simulate", *ON, "--device", "l4", "--replicas", "0"), 2, "replicas = 0"),
        (("simulate", *ON[:2], "--trace", "none.csv", "--device", "l4"), 2, "none.csv"),
        (("simulate", "--model", "llama-3.1-70b", *ON[2:], "--device", "l4"), 1, "KV cache"),
        (("plan", *ON, "--devices", "l4", "--tpot", "0.01 ms"), 1, "alone on the fastest"),
        (("plan", *ON, "--budget", "20 USD"), 2, "dollars an hour"),
        (("plan", *ON, "--budget", "5 kW, 1 kW"), 2, "limited twice"),
        (("plan", *ON, "--budget", "0 GPUs"), 2, "above zero"),
        (("plan", *ON, "--budget", "20 W", "--devices", "l4"), 1, "smallest costs"),
        (("plan", *ON, "--budget", "0.01 USD/h", "--devices", "l4"), 1, "smallest costs"),
        (("plan", *ON, "--devices", "rtx-4090"), 2, "no rental price"),
        (("plan", *ON, "--policy", "magic"), 2, "unknown policy 'magic'"),
        (("plan", *ON, "--objective", "beauty"), 2, "unknown objective 'beauty'"),
        (("plan", *ON, "--objective", "energy", "--market", "hosted"), 1, "no known latency"),
        (
            ("plan", *ON, "--devices", "l4", "--tpot", "0.01 ms", "--objective", "latency"),
            1,
            "alone on the fastest",
        ),
        (("plan", *ON, "--objective", "energy", "--budget", "1 W"), 1, "the goal and the budget"),
        (("plan", *ON, "--market", "flea"), 2, "unknown market 'flea'"),
        (("plan", *ON, "--market", "spot", "--spot-price", "2"), 2, "spot price = 2"),
        (("plan", *ON, "--market", "hosted", "--budget", "2 GPUs"), 2, "budget in dollars too"),
        (("plan", *ON, "--attainment", "99"), 2, "--attainment is 99"),
        (("plan", *ON, "--power-caps", "half"), 2, "--power-caps is 'half'"),
        (("plan", *ON, "--power-caps", "70"), 2, "give shares from 0.3 to 1"),
        (("plan", *ON, "--calibration", "trace.csv"), 2, "trace.csv can't be read as TOML"),
        (("plan", *ON, "--calibration", "none.toml"), 2, "none.toml can't be read"),
        (("plan", *ON, "--tables", "none"), 2, "none"),
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


def test_plan_searches_the_settings_and_its_command_lines_carry_them() -> None:
    found = bursar(*PLAN, "--json").document
    part = found["fleet"][0]
    assert part["policy"] == "vllm"
    (line,) = found["commands"]["vllm"]
    assert f"--max-num-batched-tokens {part['max_tokens']} " in line
    assert f"--max-num-seqs {part['max_jobs']} " in line
    assert len(found["tried"]) + found["excluded_settings"] == 20
    assert found["tpot_mean_s"] == pytest.approx(found["predicted_tpot_s"], rel=0.5)
    fixed = bursar(*PLAN, "--policy", "prefill_first", "--json")
    assert {one["policy"] for one in fixed.document["tried"]} == {"prefill_first"}
    assert "the best of" in fixed.err
