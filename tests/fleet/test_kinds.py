"""Kinds: every request is in one, tokens are conserved, and the busiest stretch sets the rate."""

import numpy as np
import pytest

from bursar.errors import BadInput
from bursar.fleet.kinds import busiest_rate, kinds
from bursar.workload.traces import Trace


def trace_of(rng: np.random.Generator, n: int) -> Trace:
    arrival = np.sort(rng.uniform(0, 3600, n))
    return Trace(arrival, rng.integers(1, 5000, n), rng.integers(1, 800, n))


def test_tokens_are_conserved_and_boxes_are_narrow() -> None:
    trace = trace_of(np.random.default_rng(0), 2000)
    found = kinds(trace, window_s=1e9)
    share = found.requests_per_second / found.requests_per_second.sum()
    assert share @ found.tokens_in == pytest.approx(trace.input_tokens.mean())
    assert share @ found.tokens_out == pytest.approx(trace.output_tokens.mean())
    spread = trace.input_tokens / found.tokens_in[found.of]
    assert spread.max() < 2
    assert spread.min() > 0.5
    finer = kinds(trace, per_doubling=2)
    assert len(finer.tokens_in) > len(found.tokens_in)


def test_the_rate_is_that_of_the_busiest_stretch() -> None:
    quiet, rush = np.arange(0, 1000, 10.0), np.arange(500, 560, 0.5)
    arrival = np.sort(np.concatenate([quiet, rush]))
    assert busiest_rate(arrival, 60.0) == pytest.approx(126 / 60, rel=0.02)
    assert busiest_rate(arrival, 1e6) == pytest.approx(len(arrival) / 990)


def test_a_single_request_is_one_per_window_and_none_is_refused() -> None:
    one = Trace(np.zeros(1), np.array([10]), np.array([10]))
    assert kinds(one, window_s=60).requests_per_second.tolist() == [1 / 60]
    with pytest.raises(BadInput, match="no request"):
        kinds(Trace(np.zeros(0), np.zeros(0), np.zeros(0)))
