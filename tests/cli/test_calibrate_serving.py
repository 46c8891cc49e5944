"""`bursar calibrate --serving`: from a benchmark's result to better predictions."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from command_line import bursar

ON = ("--model", "llama-3.1-8b", "--device", "h100-sxm")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def result(path: str, tpot: float, count: int = 60) -> None:
    """Of `vllm bench serve`: requests one after the other, each of 200 tokens."""
    document = {
        "input_lens": [1000] * count,
        "output_lens": [200] * count,
        "start_times": [float(3 * i) for i in range(count)],
        "ttfts": [0.1] * count,
        "itls": [[tpot] * 199] * count,
        "completed": count,
        "request_throughput": 1 / 3,
    }
    Path(path).write_text(json.dumps(document), encoding="utf-8")


def test_a_slow_server_is_predicted_slow_afterwards() -> None:
    result("bench.json", tpot=0.012)
    before = bursar("cost", *ON, "--output", "200", "--json").document
    ran = bursar("calibrate", "--serving", "bench.json", *ON, "--json")
    assert ran.code == 0, ran.err
    assert ran.document["rows"] == 1
    assert ran.document["before"]["tpot"] > 0.3
    made = ran.document["calibration"]
    after = bursar("cost", *ON, "--output", "200", "--calibration", made, "--json").document
    assert abs(after["tpot_s"] - 0.012) < 0.5 * abs(before["tpot_s"] - 0.012)
    assert "between tokens" in ran.err


def test_several_results_are_fitted_together_and_simulate_takes_them() -> None:
    result("a.json", tpot=0.012)
    result("b.json", tpot=0.013)
    files = ("--serving", "a.json", "--serving", "b.json")
    ran = bursar("calibrate", *files, *ON, "--out", "own.toml", "--json")
    assert ran.document["after"]["tpot"] < ran.document["before"]["tpot"]
    lines = ["arrival_s,input_tokens,output_tokens", *(f"{i},1000,200" for i in range(20))]
    Path("trace.csv").write_text("\n".join(lines), encoding="utf-8")
    on = ("simulate", *ON, "--trace", "trace.csv", "--json")
    plain, own = bursar(*on).document, bursar(*on, "--calibration", "own.toml").document
    assert np.isclose(own["tpot_s"]["p50"], 0.0125, rtol=0.15)
    assert plain["tpot_s"]["p50"] < 0.009


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--serving", "none.json", *ON), r"none\.json can't be read"),
        (("--serving", "bench.json"), "does not say what was measured"),
        (("--serving", "trace.csv", *ON), "no latencies"),
        (("chain", "--serving", "bench.json"), "not both"),
        ((), "not both"),
        (("--serving", "bench.json", *ON, "--out", "no/where.toml"), "in no folder"),
    ],
)
def test_what_is_refused(arguments: tuple[str, ...], says: str) -> None:
    result("bench.json", tpot=0.012)
    Path("trace.csv").write_text("arrival_s,input_tokens,output_tokens\n0,10,10\n")
    ran = bursar("calibrate", *arguments)
    assert ran.code == 2
    assert re.search(says, ran.err.replace("\n", " "))
    assert not Path("calibration.toml").exists()
