"""A table answers between its points, beyond them, and for shapes nobody measured."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bursar.catalog import device
from bursar.cost.tables import Interpolator, OperatorFit, OperatorTable

Array = NDArray[np.float64]
H100 = device("h100-sxm")
LAW = OperatorFit(4e-6, compute=0.6, memory=0.8, sharpness=2.0)
SIDES = [512, 1024, 2048, 4096, 8192, 16384]


def grid(**axes: Any) -> dict[str, Array]:
    mesh = np.meshgrid(*(np.asarray(a, dtype=np.float64) for a in axes.values()), indexing="ij")
    return dict(zip(axes, (column.ravel() for column in mesh), strict=True))


def table(kind: str, shape: dict[str, Array], seconds: Array) -> OperatorTable:
    return OperatorTable(kind, "h100-sxm", "any", "1", "bf16", shape, seconds)


def law(kind: str, shape: Mapping[str, Array], slower: float = 1.0) -> Array:
    return slower * LAW.seconds(H100, kind, "bf16", shape)


def products(slower: float = 1.5) -> OperatorTable:
    shape = grid(m=[1, 8, 64, 256, 1024, 4096], n=SIDES, k=SIDES)
    return table("gemm", shape, law("gemm", shape, slower))


def reference(kind: str) -> Any:
    return lambda shape: law(kind, shape)


def test_measured_points_come_back() -> None:
    measured = products()
    found = Interpolator(measured, reference("gemm")).seconds(measured.shape)
    np.testing.assert_allclose(found, measured.seconds, rtol=1e-9)


def test_between_points_the_efficiency_changes_evenly_in_log_sizes() -> None:
    shape = grid(m=[64.0], n=[1024.0], k=[1023.0, 4095.0])
    slower = np.where(shape["k"] < 2000, 1.0, 4.0)
    measured = table("gemm", shape, slower * law("gemm", shape))
    asked = {"m": np.array([64.0]), "n": np.array([1024.0]), "k": np.array([2047.0])}
    found = Interpolator(measured, reference("gemm")).seconds(asked)
    np.testing.assert_allclose(found, law("gemm", asked, 2.0), rtol=1e-6)


def test_a_width_that_is_missing_is_close() -> None:
    measured = products()
    hidden = measured.shape["k"] == 4096
    rest = Interpolator(measured.chosen(~hidden), reference("gemm"))
    asked = measured.chosen(hidden)
    error = np.abs(rest.seconds(asked.shape) / asked.seconds - 1.0)
    assert error.max() < 1e-6  # the efficiency is the same everywhere


def test_outside_it_follows_the_roofline_with_the_edges_efficiency() -> None:
    interpolator = Interpolator(products(1.5), reference("gemm"))
    asked = {"m": np.array([1.0, 65536.0]), "n": np.array([65536.0, 32.0]), "k": np.array([1e5])}
    np.testing.assert_allclose(interpolator.seconds(asked), law("gemm", asked, 1.5), rtol=1e-6)


def test_empty_corners_of_the_grid_are_filled_with_the_efficiency_around_them() -> None:
    measured = products(1.5)
    corner = (measured.shape["m"] == 4096) & (measured.shape["n"] >= 8192)
    rest = Interpolator(measured.chosen(~corner), reference("gemm"))
    asked = measured.chosen(corner)
    np.testing.assert_allclose(rest.seconds(asked.shape), asked.seconds, rtol=1e-6)


def test_rows_that_form_no_grid_still_answer() -> None:
    rng = np.random.default_rng(0)
    shape = {axis: np.exp(rng.uniform(np.log(64), np.log(8192), 400)) for axis in "mnk"}
    measured = table("gemm", shape, law("gemm", shape, 1.5))
    asked = {axis: np.exp(rng.uniform(np.log(64), np.log(8192), 50)) for axis in "mnk"}
    found = Interpolator(measured, reference("gemm")).seconds(asked)
    np.testing.assert_allclose(found, law("gemm", asked, 1.5), rtol=1e-6)


def heads(head_dim: float) -> dict[str, Array]:
    axes = {"batch": [1, 16, 256], "length": [128, 1024, 8192], "heads": [8, 32]}
    shape = grid(**axes, kv_heads=[1, 8])
    rows = len(shape["batch"])
    return {**shape, "head_dim": np.full(rows, head_dim), "window": np.zeros(rows)}


def test_a_head_size_nobody_measured_takes_the_efficiency_of_those_most_alike() -> None:
    kind, shapes = "generation_attention", [heads(64.0), heads(128.0)]
    shape = {axis: np.concatenate([s[axis] for s in shapes]) for axis in shapes[0]}
    slower = np.where(shape["head_dim"] == 64, 2.0, 1.0)
    measured = table(kind, shape, slower * law(kind, shape))
    interpolator = Interpolator(measured, reference(kind))

    def ratio(head_dim: float) -> float:
        asked = {**heads(head_dim), "head_dim": np.array(head_dim), "window": np.array(0.0)}
        return float(np.mean(interpolator.seconds(asked) / law(kind, asked)))

    assert ratio(64.0) == pytest.approx(2.0)
    assert ratio(64.0) > ratio(72.0) > ratio(110.0) > ratio(128.0) == pytest.approx(1.0)


def test_a_larger_message_never_takes_less_time_even_if_it_was_measured_so() -> None:
    size = 2.0 ** np.arange(10, 24)
    noise = np.exp(np.random.default_rng(1).normal(0, 0.3, size.size))
    shape = {"bytes": size, "devices": np.full(size.size, 4.0)}
    measured = table("all_reduce", shape, noise * law("all_reduce", shape))
    assert np.any(np.diff(measured.seconds) < 0)
    interpolator = Interpolator(measured, reference("all_reduce"))
    assert np.all(np.diff(interpolator.seconds(shape)) >= -1e-12)
    beyond = {"bytes": np.geomspace(2**23, 2**30, 50), "devices": np.array(4.0)}
    assert np.all(np.diff(interpolator.seconds(beyond)) > 0)
