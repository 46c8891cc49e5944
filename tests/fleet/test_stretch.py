"""Stretches of traffic: as typical as the whole, and as long as asked."""

import numpy as np
import pytest

from bursar.fleet.stretch import lasting, typical
from bursar.workload.traces import Trace


def test_a_typical_stretch_is_neither_the_rush_nor_the_quiet() -> None:
    arrival = np.concatenate([np.arange(100.0), 100 + np.arange(50) * 0.1, 105 + np.arange(60) * 9])
    trace = Trace(arrival, np.ones_like(arrival), np.ones_like(arrival))
    rows = typical(trace, 20)
    assert len(rows) == 20
    assert np.diff(trace.arrival_s[rows]).mean() == pytest.approx(1.0, rel=0.3)
    assert len(typical(trace, 10**6)) == len(arrival)


def poisson(count: int = 500, rate: float = 5.0) -> Trace:
    rng = np.random.default_rng(0)
    arrival = np.cumsum(rng.exponential(1 / rate, count))
    return Trace(arrival, rng.integers(1, 1000, count), rng.integers(1, 100, count))


def test_what_lasts_long_enough_is_as_it_was() -> None:
    trace = poisson()
    same, rows = lasting(trace, np.arange(500), 1.0, 10.0, np.random.default_rng(0))
    assert (rows == np.arange(500)).all()
    np.testing.assert_allclose(same.arrival_s, trace.arrival_s - trace.arrival_s[0])


def test_repetitions_keep_the_rate_and_the_mix_and_differ() -> None:
    trace = poisson()
    long, rows = lasting(trace, np.arange(500), 10.0, 60.0, np.random.default_rng(0))
    assert long.arrival_s[-1] > 59
    assert len(long) / long.arrival_s[-1] == pytest.approx(50.0, rel=0.1)
    assert (np.bincount(rows) == len(long) // 500).all()
    assert (long.input_tokens == trace.input_tokens[rows]).all()
    assert (rows[:500] != rows[500:1000]).mean() > 0.9
