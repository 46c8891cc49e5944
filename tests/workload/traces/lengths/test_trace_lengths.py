"""Lengths: a resampled trace keeps its pairs, a lognormal its percentiles, a cap is a cap."""

import numpy as np
import pytest

from bursar.errors import BadInput
from bursar.workload.traces import Capped, EmpiricalLengths, LognormalLengths, Trace


def trace_of(inputs: np.ndarray, outputs: np.ndarray) -> Trace:
    return Trace(np.arange(float(len(inputs))), inputs, outputs)


def test_resampling_keeps_pairs_together() -> None:
    trace = trace_of(np.array([10, 20, 3000]), np.array([7, 8, 9]))
    inputs, outputs = EmpiricalLengths.fit(trace).draw(30_000, np.random.default_rng(0))
    pairs, counts = np.unique(np.stack([inputs, outputs]), axis=1, return_counts=True)
    assert pairs.T.tolist() == [[10, 7], [20, 8], [3000, 9]]
    assert np.all(np.abs(counts - 10_000) < 4 * np.sqrt(30_000 * 2 / 9))


def test_a_lognormal_is_found_again() -> None:
    true = LognormalLengths(900, 0.7, 200, 1.1, correlation=-0.4)
    found = LognormalLengths.fit(trace_of(*true.draw(100_000, np.random.default_rng(0))))
    assert found.median_input_tokens == pytest.approx(900, rel=0.02)
    assert found.median_output_tokens == pytest.approx(200, rel=0.02)
    assert found.sigma_input == pytest.approx(0.7, rel=0.02)
    assert found.sigma_output == pytest.approx(1.1, rel=0.02)
    assert found.correlation == pytest.approx(-0.4, abs=0.02)


def test_two_humps_keep_median_and_90th_percentile() -> None:
    """Not so the maximum likelihood: on these lengths its 90th percentile is three times too high.

    A tenth of the requests is very short, as are health checks among real ones.
    """
    rng = np.random.default_rng(0)
    short = rng.random(50_000) < 0.1
    inputs = np.where(short, 1, np.rint(rng.lognormal(np.log(3000), 0.3, 50_000))).astype(int)
    outputs = np.full(50_000, 20)
    made, same = LognormalLengths.fit(trace_of(inputs, outputs)).draw(50_000, rng)
    assert np.all(same == 20)
    assert np.percentile(made, [50, 90]) == pytest.approx(np.percentile(inputs, [50, 90]), rel=0.03)
    logs = np.log(inputs)
    likeliest_p90 = np.exp(logs.mean() + 1.2816 * logs.std())
    assert likeliest_p90 > 3 * np.percentile(inputs, 90)


def test_a_cap_cuts_and_changes_nothing_below() -> None:
    lengths = LognormalLengths(900, 0.7, 200, 1.1)
    free_in, free_out = lengths.draw(5000, np.random.default_rng(0))
    capped_in, capped_out = Capped(lengths, max_input_tokens=1000).draw(
        5000, np.random.default_rng(0)
    )
    assert capped_in.max() == 1000
    assert np.array_equal(capped_in, np.minimum(free_in, 1000))
    assert np.array_equal(capped_out, free_out)


def test_every_request_asks_and_gets_a_token() -> None:
    inputs, outputs = LognormalLengths(1, 3.0, 1, 3.0).draw(10_000, np.random.default_rng(0))
    assert inputs.min() == outputs.min() == 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LognormalLengths(0, 1, 1, 1), "median_input_tokens is 0"),
        (lambda: LognormalLengths(1, -1, 1, 1), "sigmas -1"),
        (lambda: LognormalLengths(1, 1, 1, 1, 2), "correlation is 2"),
        (lambda: Capped(LognormalLengths(1, 1, 1, 1), 0), "max_input_tokens is 0"),
        (lambda: LognormalLengths.fit(trace_of(np.array([1]), np.array([1]))), "1 requests"),
        (
            lambda: EmpiricalLengths.fit(trace_of(np.array([1]), np.array([1])).window(5, 6)),
            "without requests",
        ),
    ],
)
def test_nonsense_is_refused(make: object, said: str) -> None:
    assert callable(make)
    with pytest.raises(BadInput, match=said):
        make()
