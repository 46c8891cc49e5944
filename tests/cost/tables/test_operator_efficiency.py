"""Coefficients that carry over to other devices: physical, and found again from tables."""

import tomllib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bursar.catalog import device
from bursar.cost.tables import KINDS, OperatorFit, OperatorTable, fitted, inside, interval, load
from bursar.cost.tables.efficiency import DRAM_SHARE, cold, shipped
from bursar.cost.tables.fit import fit, leave_one_out, main

H100, A100, L40S = (device(name) for name in ("h100-sxm", "a100-sxm-80gb", "l40s"))
SIZES = {
    "m": np.array([1.0, 64.0, 4096.0, 65536.0]),
    "n": 8192.0,
    "k": 8192.0,
    "batch": 16.0,
    "new": np.array([16.0, 512.0, 4096.0, 16384.0]),
    "context": 0.0,
    "length": np.array([64.0, 1024.0, 16384.0, 131072.0]),
    "heads": 8.0,
    "kv_heads": 1.0,
    "head_dim": 128.0,
    "window": 0.0,
    "tokens": np.array([1.0, 64.0, 4096.0, 65536.0]),
    "width": 8192.0,
    "hidden": 4096.0,
    "inner": 1536.0,
    "experts": 128.0,
    "top_k": 8.0,
    "matrices": 3.0,
    "skew": 1.2,
    "tp": 1.0,
    "ep": 8.0,
    "bytes": np.array([1e3, 1e5, 1e7, 1e9]),
    "devices": 4.0,
}


def sizes(kind: str) -> dict[str, float | np.ndarray]:
    return {name: SIZES[name] for name in (*KINDS[kind].axes, *KINDS[kind].family)}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_coefficients_for_any_engine(kind: str) -> None:
    coefficients = fitted(L40S, kind, "int4", "an engine nobody measured")
    assert coefficients.launch_seconds > 0
    assert coefficients.low <= 1 <= coefficients.high


@pytest.mark.parametrize("key", sorted(shipped()), ids=" ".join)
def test_a_larger_operator_takes_longer_and_an_empty_one_its_launch(
    key: tuple[str, str, str],
) -> None:
    kind, dtype, _ = key
    dtype = dtype if "devices" not in KINDS[kind].axes and dtype != "any" else "bf16"
    seconds = shipped()[key].seconds(H100, kind, dtype, sizes(kind))
    assert np.all(np.diff(seconds) > 0)
    assert seconds[0] >= shipped()[key].launch_seconds


@pytest.mark.parametrize("key", [k for k in sorted(shipped()) if "width" not in KINDS[k[0]].axes])
def test_nothing_is_faster_than_the_datasheet(key: tuple[str, str, str]) -> None:
    coefficients = shipped()[key]
    assert max(coefficients.compute, coefficients.memory, coefficients.link) <= 1.0


def test_an_engines_own_coefficients_come_first_and_a_link_decides_for_collectives() -> None:
    table = shipped()
    assert fitted(H100, "gemm", "fp8", "vllm") == table["gemm", "fp8", "vllm"]
    assert fitted(H100, "gemm", "fp8", "sglang") == table["gemm", "fp8", "any"]
    assert fitted(H100, "all_reduce", "bf16", None) == table["all_reduce", "fabric", "any"]
    assert fitted(L40S, "all_reduce", "bf16", None) == table["all_reduce", "pcie", "any"]


def test_weights_that_fit_the_cache_are_priced_as_read_from_memory() -> None:
    shape = {"m": 1.0, "n": 1024.0, "k": 1024.0}
    moved = float(load("gemm", "bf16", shape).memory_bytes)
    rate = float(L40S.memory_bytes_per_second or 0)
    floor = moved / (rate * DRAM_SHARE)
    assert float(cold(L40S, "gemm", "bf16", shape, np.array(floor / 3))) == pytest.approx(floor)
    assert float(cold(L40S, "gemm", "bf16", shape, np.array(floor * 3))) == pytest.approx(3 * floor)


TRUE = OperatorFit(6e-6, compute=0.6, memory=0.75, sharpness=3.0)


def products(name: str, slower: float = 1.0) -> OperatorTable:
    mesh = np.meshgrid(2.0 ** np.arange(0, 14, 2), [512.0, 4096.0, 16384.0], [1024.0, 8192.0])
    shape = {axis: column.ravel() for axis, column in zip("mnk", mesh, strict=True)}
    seconds = slower * TRUE.seconds(device(name), "gemm", "bf16", shape)
    return OperatorTable("gemm", name, "any", "1", "bf16", shape, seconds)


def test_a_fit_finds_the_law_and_carries_it_to_another_device() -> None:
    found = fit([products("h100-sxm"), products("a100-sxm-80gb")])
    assert found.compute == pytest.approx(TRUE.compute, rel=0.05)
    assert found.memory == pytest.approx(TRUE.memory, rel=0.05)
    unseen = products("l40s")
    predicted = found.seconds(L40S, "gemm", "bf16", unseen.shape)
    np.testing.assert_allclose(predicted, unseen.seconds, rtol=0.05)


def test_a_device_left_out_shows_what_its_own_tables_would_have_told() -> None:
    names = ["h100-sxm", "a100-sxm-80gb", "l40s"]
    tables = [products(name, 1.5 if name == "l40s" else 1.0) for name in names]
    ratios = leave_one_out(("gemm", "bf16", "any"), tables).ratios
    assert np.median(ratios["l40s"]) > np.log(1.2)
    assert abs(np.median(ratios["h100-sxm"])) < np.log(1.3)


def test_the_program_writes_what_the_package_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for system, name in (("h100_sxm", "h100-sxm"), ("a100_sxm", "a100-sxm-80gb")):
        place = tmp_path / "data" / system / "gemm" / "x" / "1"
        place.mkdir(parents=True)
        table = products(name)
        frame = pl.DataFrame({axis: table.shape[axis] for axis in "mnk"}).with_columns(
            op_name=pl.lit("gemm"),
            gemm_dtype=pl.lit("bfloat16"),
            latency=pl.Series(table.seconds * 1e3),
        )
        frame.write_parquet(place / "gemm_perf.parquet")
    main([str(tmp_path / "data"), "--out", str(tmp_path / "fitted.toml")])
    written = tomllib.loads((tmp_path / "fitted.toml").read_text("utf-8"))
    coefficients = OperatorFit(**written["gemm"]["bf16"]["x"])
    assert coefficients.compute == pytest.approx(TRUE.compute, rel=0.05)
    assert "h100-sxm" in capsys.readouterr().out


def test_an_interval_holds_what_it_says_for_a_group_never_seen() -> None:
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(300):
        offsets = rng.normal(0, 0.2, 6)
        groups = [rng.normal(offset, 0.1, 200) for offset in offsets]
        shares.append(inside(groups[0], interval(groups[1:])))
    assert 0.75 <= np.mean(shares) <= 0.85


def test_a_group_counts_once_however_many_points_it_has() -> None:
    few, many = np.linspace(-1, 1, 50), np.linspace(-0.1, 0.1, 5000)
    low, high = interval([few, many])
    assert high > 0.5
    assert low < -0.5
