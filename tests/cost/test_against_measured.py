"""What the docstring of `MEASURED` says of its error, on servers that it was not fitted to."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bursar.cost import MEASURED

ROOT = Path(__file__).parents[2]
DATA = ROOT / "../shared/data/serving/measured_end_to_end.csv"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not DATA.exists(), reason="the recorded data is not here"),
]


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "cost_roofline", ROOT / "benchmarks/cost_roofline.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def held_out(benchmark: ModuleType) -> dict[str, Any]:
    points, _ = benchmark.read_points()
    found: dict[str, Any] = benchmark.report([p for p in points if p.held_out], MEASURED)
    return found


def test_time_between_tokens_of_servers_never_fitted(held_out: dict[str, Any]) -> None:
    """The best peer: median error 20.5 % on time between tokens, 46 % to the first."""
    assert held_out["points"] > 1000
    assert held_out["tpot_median_error"] < 0.17
    assert held_out["ttft_median_error"] < 0.43


def test_the_interval_holds_what_it_says(held_out: dict[str, Any]) -> None:
    assert 0.83 < held_out["tpot_share_inside_low_high"] < 0.95


def test_power_of_a_source_never_fitted(benchmark: ModuleType) -> None:
    found = benchmark.splitwise(MEASURED)
    assert found["a100-sxm-80gb watts"]["median_error"] < 0.12
