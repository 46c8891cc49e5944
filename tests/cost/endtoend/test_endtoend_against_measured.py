"""The page of figures is what the benchmark made, and a sample of the recorded rows agrees."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from bursar.cost.endtoend import read_measured
from bursar.errors import BadInput

ROOT = Path(__file__).parents[3]
DATA = ROOT / "../shared/data/serving/measured_end_to_end.csv"
RUNS = DATA.parent / "vllm_h100_runs"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    for name in ("serving_truth", "serving_figures", "serving_runs", "machine"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("serving_truth")


def test_the_page_shows_the_recorded_result(benchmark: ModuleType) -> None:
    result = json.loads(benchmark.RESULT.read_text(encoding="utf-8"))
    page = benchmark.DOCS.read_text(encoding="utf-8")
    assert benchmark.renewed(page, result) == page
    assert "--leave-group-out" in result["command"]


def test_bad_files_end_with_a_message(
    benchmark: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        benchmark.main(["--measured", str(tmp_path / "nowhere.csv")])
    assert ended.value.code == 2
    assert "nowhere.csv" in capsys.readouterr().err


@pytest.mark.shared
@pytest.mark.skipif(not DATA.exists(), reason="the recorded data is not here")
def test_every_row_has_an_answer_and_held_out_groups_are_near(benchmark: ModuleType) -> None:
    rows = read_measured(DATA)
    assert len(rows) > 3000
    some = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))[:300]]
    result = benchmark.run(some, None, leave_out=True)["without tables"]
    stated = result["by mode"]["aggregated"]
    assert stated["tpot"]["median_error"] < 0.18
    assert stated["ttft"]["median_error"] < 0.45
    assert 0.65 < stated["tpot"]["inside"] < 0.95
    assert result["all"]["rows"] == 300


@pytest.mark.shared
@pytest.mark.skipif(not RUNS.exists(), reason="the recorded data is not here")
def test_runs_of_a_model_are_predicted_from_those_of_others(benchmark: ModuleType) -> None:
    result = benchmark.runs(RUNS, "h100-sxm")
    assert result["latency"]["median_error"] < 0.12
    assert result["ttft"]["median_error"] < 0.25


def test_a_folder_without_runs_is_refused(benchmark: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no runs in"):
        benchmark.runs(tmp_path, "h100-sxm")
