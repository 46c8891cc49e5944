"""A user's own measurements make predictions of that user's servers better."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bursar.catalog import device, model
from bursar.cost import Deployment
from bursar.cost.calibration import Calibration, EngineLaw, read_calibration, shipped
from bursar.cost.endtoend import Pool, Served, latencies, read_measured
from bursar.cost.endtoend.own import ENOUGH, Own, calibrate
from bursar.cost.tables import Engine
from bursar.errors import BadInput

DATA = Path(__file__).parents[3] / "../shared/data/serving/measured_end_to_end.csv"
TRUE = EngineLaw(0.2, 0.03, 1.4, 0.1, 0.01, step_factor=1.4)
PLACE = Deployment(
    model("llama-3.1-8b"), device("h100-sxm"), engine=Engine("vllm"), calibration=shipped()
)


def on(known: Calibration, load: Served) -> tuple[float, float]:
    """(TTFT, TPOT) by a calibration."""
    ttft, tpot, _ = latencies(load.elsewhere(lambda place: replace(place, calibration=known)))
    return ttft.item(), tpot.item()


def rows(count: int, seed: int = 0, noise: float = 0.05) -> list[Own]:
    """Servers that are by `TRUE`, and noise."""
    rng = np.random.default_rng(seed)
    truth = replace(shipped(), law={"any": TRUE})
    found = []
    for _ in range(count):
        load = Served(
            Pool(PLACE),
            in_flight=float(2 ** rng.integers(0, 8)),
            tokens_in=int(rng.integers(100, 4000)),
            tokens_out=int(rng.integers(50, 800)),
        )
        ttft, tpot = np.array(on(truth, load)) * np.exp(rng.normal(0, noise, 2))
        found.append(Own(load, float(ttft), float(tpot)))
    return found


def test_the_factor_on_steps_is_found_and_errors_fall() -> None:
    made, errors = calibrate(rows(12), shipped())
    assert made.of(Engine("vllm")).step_factor == pytest.approx(1.4, rel=0.05)
    assert errors.before["tpot"] == pytest.approx(1 - 1 / 1.4, abs=0.05)
    assert errors.after["tpot"] < 0.1
    assert errors.after["ttft"] < 0.5 * errors.before["ttft"]


def test_few_rows_move_less_than_many_and_other_engines_stay() -> None:
    one, many = (calibrate(rows(n, noise=0.0), shipped())[0] for n in (1, 20))
    assert 1.0 < one.of(Engine("vllm")).step_factor < many.of(Engine("vllm")).step_factor < 1.4
    assert many.of(Engine("sglang")) == shipped().of(Engine("sglang"))


def test_a_version_that_was_measured_has_coefficients_of_its_own() -> None:
    old = replace(PLACE, engine=Engine("vllm", "0.12.0"))
    versioned = [
        replace(
            row, served=replace(row.served, decode=Pool(old)), tpot_seconds=2 * row.tpot_seconds
        )
        for row in rows(12, seed=3)
    ]
    made, _ = calibrate([*rows(12), *versioned], shipped())
    slow, usual, unknown = (
        made.of(Engine("vllm", v)).step_factor for v in ("0.12.0", "", "0.13.0")
    )
    assert slow == pytest.approx(2 * usual, rel=0.1)
    assert unknown == usual


def test_one_row_has_no_error_after_and_none_is_refused() -> None:
    _, errors = calibrate(rows(1), shipped())
    assert (errors.rows, errors.after) == (1, {})
    with pytest.raises(BadInput, match="no measured server"):
        calibrate([], shipped())


def test_intervals_are_measured_when_there_are_enough_rows() -> None:
    few, enough = (calibrate(rows(n), shipped())[0] for n in (ENOUGH - 1, 40))
    assert few.intervals == shipped().intervals
    low, high = enough.intervals["fitted"]["aggregated"]["tpot"]
    inside = 0
    for row in rows(100, seed=1):
        _, tpot = on(enough, row.served)
        inside += low * tpot <= row.tpot_seconds <= high * tpot
    assert 65 <= inside <= 95


def test_a_calibration_survives_being_written(tmp_path: Path) -> None:
    made, _ = calibrate(rows(12), shipped())
    path = tmp_path / "calibration.toml"
    path.write_text(made.written())
    read = read_calibration(path)
    for row in rows(5, seed=2):
        assert on(read, row.served) == pytest.approx(on(made, row.served), rel=1e-3)


@pytest.mark.parametrize("text", ["", "[law.vllm]\nfirst_seconds = 1", "a = ", "[law]\n[interval]"])
def test_other_files_are_no_calibration(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.toml"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"other\.toml"):
        read_calibration(path)


@pytest.mark.shared
@pytest.mark.skipif(not DATA.exists(), reason="the recorded data is not here")
def test_eight_recorded_servers_make_the_others_of_their_kind_better_known() -> None:
    """Over pairs of model and device that have 28 servers or more: median of medians."""
    groups = defaultdict(list)
    for row in read_measured(DATA):
        if row.served.mode == "aggregated":
            groups[row.group].append(Own(row.served, row.ttft_seconds, row.tpot_seconds))
    errors = []
    for own in groups.values():
        if len(own) < 28:
            continue
        order = np.random.default_rng(0).permutation(len(own))
        made, _ = calibrate([own[i] for i in order[:8]], shipped())
        rest = [own[i] for i in order[8:48]]
        for known in (shipped(), made):
            off = [
                np.abs(np.array(on(known, row.served)) / (row.ttft_seconds, row.tpot_seconds) - 1)
                for row in rest
            ]
            errors.append(np.median(off, axis=0))
    before, after = np.array(errors[::2]), np.array(errors[1::2])
    assert len(before) >= 10
    assert np.all(np.median(after, axis=0) < 0.85 * np.median(before, axis=0))
