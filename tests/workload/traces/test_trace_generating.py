"""A generator fitted to a trace makes traces like it: rate, burstiness, lengths."""

from pathlib import Path

import numpy as np
import pytest

from bursar.errors import BadInput
from bursar.workload.traces import (
    EmpiricalLengths,
    Gamma,
    LognormalLengths,
    Poisson,
    Spread,
    Trace,
    generated,
    read_trace,
    summary,
)

SERVING = Path(__file__).parents[3] / "../shared/data/serving"


def check_alike(trace: Trace) -> None:
    """The claim of the fitted generators, at ten times the trace's length.

    Rate and CV within four standard errors of what they were fitted to; the lengths' mean, median
    and 90th percentile within 5 %, the 99th within 10 %.
    """
    was = summary(trace)
    assert was.rate_per_s is not None
    assert was.burstiness is not None
    assert was.duration_s is not None
    rng = np.random.default_rng(0)
    arrivals, lengths = Gamma.fit(trace), EmpiricalLengths.fit(trace)
    made = summary(generated(arrivals, lengths, 10 * was.duration_s, rng))
    error = was.burstiness / np.sqrt(made.requests)  # of a renewal process's rate
    assert made.rate_per_s == pytest.approx(was.rate_per_s, rel=4 * error)
    assert made.burstiness == pytest.approx(was.burstiness, rel=4 * error * (1 + was.burstiness))
    for like, own in (
        (made.input_tokens, was.input_tokens),
        (made.output_tokens, was.output_tokens),
    ):
        assert isinstance(like, Spread)
        assert isinstance(own, Spread)
        assert like.mean == pytest.approx(own.mean, rel=0.05)
        assert like.p50 == pytest.approx(own.p50, rel=0.05)
        assert like.p90 == pytest.approx(own.p90, rel=0.05)
        assert like.p99 == pytest.approx(own.p99, rel=0.1)
        assert like.max <= own.max


def test_a_bursty_trace_is_made_again() -> None:
    true = LognormalLengths(800, 0.8, 150, 1.0, correlation=0.5)
    check_alike(generated(Gamma(4.0, 2.5), true, 2000, np.random.default_rng(1)))


@pytest.mark.shared
@pytest.mark.parametrize(
    "name", ["azure_llm_2023_conv.csv", "mooncake_synthetic_trace.jsonl"], ids=lambda n: n[:8]
)
def test_a_recorded_trace_is_made_again(name: str) -> None:
    if not (SERVING / name).exists():
        pytest.skip(f"no {name}")
    check_alike(read_trace(SERVING / name))


def test_lengths_do_not_lean_on_arrivals() -> None:
    lengths = LognormalLengths(800, 0.8, 150, 1.0)
    trace = generated(Poisson(5.0), lengths, 20_000, np.random.default_rng(2))
    gaps = np.diff(trace.arrival_s)
    assert abs(np.corrcoef(gaps, trace.input_tokens[1:])[0, 1]) < 4 / np.sqrt(len(gaps))


def test_the_seed_says_which_trace() -> None:
    made = [
        generated(Poisson(5.0), LognormalLengths(9, 1, 9, 1), 100, np.random.default_rng(seed))
        for seed in (7, 7, 8)
    ]
    assert np.array_equal(made[0].arrival_s, made[1].arrival_s)
    assert np.array_equal(made[0].input_tokens, made[1].input_tokens)
    assert len(made[0]) != len(made[2]) or not np.array_equal(made[0].arrival_s, made[2].arrival_s)


def test_more_than_fits_in_memory_is_refused() -> None:
    with pytest.raises(BadInput, match="make a shorter trace"):
        generated(Poisson(1e9), LognormalLengths(9, 1, 9, 1), 1e9, np.random.default_rng(0))
