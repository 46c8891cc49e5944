"""The fit finds a law that made the data; groups count alike; intervals hold what they promise."""

import tomllib
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from bursar.cost.calibration import EngineLaw, Law, shipped
from bursar.cost.endtoend import Columns, Features, ttft_seconds
from bursar.cost.endtoend.fit import Sample, calibrate, fit, laws_without, left_out

GROUPS = 8
LAW: Law = {
    "vllm": EngineLaw(0.04, 0.05, 1.0, 0.05, 0.01, 0.2, 0.1),
    "sglang": EngineLaw(0.20, 0.05, 1.4, 0.10, 0.01, 0.2, 0.2),
    "any": EngineLaw(0.1, 0.05, 1.2, 0.07, 0.01, 0.2, 0.15),
}


@cache
def sample(rows: int = 40, noise: float = 0.1) -> Sample:
    """Rows by `LAW`, those of one group with a common error, each with its own."""
    rng = np.random.default_rng(0)
    loads, group, ratio = [], [], []
    for name in range(GROUPS):
        common = rng.normal(0.0, noise)
        for _ in range(rows):
            prompt = 10 ** rng.uniform(-2, 0)
            loads.append(
                Features(
                    engine=str(rng.choice(["vllm", "sglang"])),
                    mode="aggregated",
                    tier="fitted",
                    routed=bool(name % 2),
                    in_flight=float(2 ** rng.integers(1, 8)),
                    tokens_out=1000,
                    decode=0.01,
                    beside=0.001,
                    prompt=prompt,
                    queued=0.8 * prompt,
                    waves=1.0,
                    crossings=0.0,
                )
            )
            group.append(f"g{name}")
            ratio.append(np.exp(common + rng.normal(0.0, noise)))
    columns = Columns.of(loads)
    factor = np.array(ratio)
    return Sample(columns, np.array(group), ttft_seconds(columns, LAW) * factor, 0.011 * factor)


def test_the_law_that_made_the_data_is_found() -> None:
    made = sample()
    law = fit(made, np.ones(len(made.group), dtype=bool))
    off = np.log(ttft_seconds(made.loads, law) / ttft_seconds(made.loads, LAW))
    assert np.median(np.abs(off)) < 0.1
    assert law["sglang"].first_seconds > 2 * law["vllm"].first_seconds


def test_a_group_with_many_rows_counts_like_any_other() -> None:
    made = sample()
    big = np.concatenate([np.arange(len(made.group)), *[np.flatnonzero(made.group == "g0")] * 20])
    loads = Columns(*(getattr(made.loads, name)[big] for name in Columns.__slots__))
    swollen = Sample(loads, made.group[big], made.ttft[big], made.tpot[big])
    laws = [fit(one, np.ones(len(one.group), dtype=bool)) for one in (made, swollen)]
    off = np.log(ttft_seconds(made.loads, laws[1]) / ttft_seconds(made.loads, laws[0]))
    assert np.max(np.abs(off)) < 0.02


def test_intervals_from_left_out_groups_hold_about_as_many_as_they_promise() -> None:
    made = sample()
    ratios = left_out(made, dict(laws_without(made)))
    inside = []
    for name in made.names:
        low, high = calibrate(made, ratios, without=name)["fitted"]["aggregated"]["tpot"]
        inside += list((ratios["tpot"] > np.log(low)) & (ratios["tpot"] < np.log(high)))
    assert 0.7 < np.mean(inside) < 0.95


def test_the_rows_of_a_group_do_not_shape_its_own_law() -> None:
    made = sample()
    own = made.group == "g3"
    wrong = replace(made, ttft=np.where(own, 100 * made.ttft, made.ttft))
    laws = [dict(laws_without(one))["g3"] for one in (made, wrong)]
    assert laws[0] == laws[1]


def test_coefficients_survive_being_written() -> None:
    ours = shipped()
    read = tomllib.loads(ours.written())
    assert read["law"]["vllm"]["queue"] == pytest.approx(ours.law["vllm"].queue, rel=1e-3)
    assert set(read["interval"]) == {"table", "fitted", "nearest"}
