"""Our figures beside those that others published, where the recorded data is at hand."""

import csv
import json
import re
from pathlib import Path

import pytest

from bursar import catalog

SHARED = Path(__file__).parents[2] / "../shared/data"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not SHARED.exists(), reason="the recorded data is not here"),
]
# they give the server card the workstation card's memory; NVIDIA's datasheets differ
NAMES = {"rtx_pro_6000_server": "rtx-pro-6000-workstation", "b60": "arc-pro-b60"}
NAMES |= {"a100_sxm": "a100-sxm-80gb", "a100_pcie": "a100-pcie-80gb"}


def described(file: Path) -> dict[str, float]:
    found = re.findall(r"^ +(mem_bw|bfloat16_tc_flops|power): *(\d+)", file.read_text(), re.M)
    return {key: float(value) for key, value in found}


@pytest.mark.parametrize("system", sorted(p.stem for p in SHARED.glob("serving/aiconf*/*.yaml")))
def test_devices_agree_with_aiconfigurator(system: str) -> None:
    theirs = described(SHARED / f"serving/aiconfigurator/{system}.yaml")
    ours = catalog.device(NAMES.get(system, system.replace("_", "-")))
    assert ours.memory_bytes_per_second == pytest.approx(theirs["mem_bw"], rel=0.05)
    assert ours.flops_per_second("bf16") == pytest.approx(theirs["bfloat16_tc_flops"], rel=0.08)
    assert ours.tdp_watts == pytest.approx(theirs["power"], rel=0.01)


def test_grids_agree_with_codecarbon() -> None:
    theirs = json.loads((SHARED / "cluster/codecarbon/global_energy_mix.json").read_text())
    for grid in catalog.grids().values():
        if grid.name != "world":
            code = grid.aliases[0]
            assert grid.grams_co2e_per_kwh == pytest.approx(theirs[code]["carbon_intensity"])
            assert int(grid.date) == theirs[code]["year"]


def test_processor_power_agrees_with_green_algorithms() -> None:
    with (SHARED / "cluster/green_algorithms/TDP_gpu.csv").open(encoding="utf-8") as file:
        next(file)
        theirs = {row["model"]: row["TDP"] for row in csv.DictReader(file)}
    for name, ours in (
        ("NVIDIA A100 40GB PCIe", "a100-pcie-40gb"),
        ("NVIDIA A100 80GB PCIe", "a100-pcie-80gb"),
        ("NVIDIA RTX 2080 Ti", "rtx-2080-ti"),
        ("NVIDIA Tesla T4", "t4"),
        ("NVIDIA Tesla V100", "v100"),
    ):
        assert catalog.device(ours).tdp_watts == float(theirs[name])
