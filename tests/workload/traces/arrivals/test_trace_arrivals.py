"""Arrival processes: each has the rate it states, and the burstiness that its theory says."""

import numpy as np
import pytest

from bursar.errors import BadInput
from bursar.workload.traces import (
    ARRIVALS,
    Arrivals,
    Gamma,
    Hourly,
    OnOff,
    Poisson,
    Sinusoidal,
    Trace,
    summary,
)

DAY_S = 86_400.0
PROCESSES = [
    Poisson(2.0),
    Gamma(2.0, 4.0),
    Gamma(2.0, 0.3),
    OnOff(10.0, 3.0, 12.0),
    OnOff(3.0, 20.0, 10.0, off_rate_per_s=1.0),
    Sinusoidal(2.0, 0.8),
    Hourly((1.0, 3.0)),
]


def dispersion(process: Arrivals, window_s: float, windows: int, seed: int = 0) -> float:
    """Variance over mean of the counts in windows: 1 is Poisson."""
    times = process.times(window_s * windows, np.random.default_rng(seed))
    counts = np.bincount((times // window_s).astype(int), minlength=windows)
    return float(counts.var() / counts.mean())


@pytest.mark.parametrize("process", PROCESSES, ids=repr)
def test_the_rate_is_what_it_says(process: Arrivals) -> None:
    times = process.times(10 * DAY_S, np.random.default_rng(0))
    assert np.all(np.diff(times) >= 0)
    assert times[0] >= 0
    assert times[-1] < 10 * DAY_S
    assert len(times) / (10 * DAY_S) == pytest.approx(process.rate_per_s, rel=0.02)
    again = process.times(10 * DAY_S, np.random.default_rng(0))
    assert np.array_equal(times, again)


def test_each_process_is_tested() -> None:
    assert {type(process) for process in PROCESSES} == set(ARRIVALS.values())


@pytest.mark.parametrize("process", PROCESSES[:5], ids=repr)
def test_the_rate_holds_from_the_first_second(process: Arrivals) -> None:
    """Already under way when time begins: also a short trace has rate x duration on average.

    A renewal process that begins with a whole gap is off by (cv^2 - 1) / 2 arrivals: 7.5 of 10
    for the Gamma process with a CV of 4.
    """
    duration = 10 / process.rate_per_s
    counts = [len(process.times(duration, np.random.default_rng(s))) for s in range(3000)]
    assert abs(np.mean(counts) - 10) < 4 * np.std(counts) / np.sqrt(len(counts))


@pytest.mark.parametrize("cv", [0.2, 1.0, 3.0])
def test_gamma_gaps_have_the_cv_and_are_independent(cv: float) -> None:
    gaps = np.diff(Gamma(5.0, cv).times(40_000, np.random.default_rng(1)))
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.03)
    assert abs(np.corrcoef(gaps[1:], gaps[:-1])[0, 1]) < 4 / np.sqrt(len(gaps))


def test_gamma_with_cv_1_is_poisson() -> None:
    assert dispersion(Gamma(5.0, 1.0), 10, 20_000) == pytest.approx(1, rel=0.05)
    assert dispersion(Poisson(5.0), 10, 20_000) == pytest.approx(1, rel=0.05)


def test_on_off_is_as_bursty_as_the_cookbook_says() -> None:
    """Limit of the index of dispersion for counts, with s the rates of leaving each state:

    1 + 2 (r1 - r2)^2 s1 s2 / ((s1 + s2)^2 (r1 s2 + r2 s1)).
    """
    process = OnOff(12.0, 2.0, 6.0, off_rate_per_s=1.0)
    s1, s2, r1, r2 = 1 / 2.0, 1 / 6.0, 12.0, 1.0
    limit = 1 + 2 * (r1 - r2) ** 2 * s1 * s2 / ((s1 + s2) ** 2 * (r1 * s2 + r2 * s1))
    assert dispersion(process, 500, 4000) == pytest.approx(limit, rel=0.1)
    assert dispersion(process, 0.01, 400_000) == pytest.approx(1, rel=0.15)


def test_a_day_has_its_shape() -> None:
    rates = tuple(float(hour) for hour in range(24))
    times = Hourly(rates).times(DAY_S, np.random.default_rng(0))
    counts = np.bincount((times // 3600).astype(int), minlength=24)
    assert counts[0] == 0
    expected = np.array(rates) * 3600
    assert np.all(np.abs(counts - expected) <= 5 * np.sqrt(expected))


def test_a_sine_swings_around_its_mean() -> None:
    times = Sinusoidal(3.0, swing=0.5, peak_hour=15).times(20 * DAY_S, np.random.default_rng(0))
    counts = np.bincount((times % DAY_S // 3600).astype(int), minlength=24) / (20 * 3600)
    assert counts[14:16].mean() == pytest.approx(
        4.5, rel=0.03
    )  # the hour before the peak, and after
    assert counts[2:4].mean() == pytest.approx(1.5, rel=0.03)
    assert counts.mean() == pytest.approx(3.0, rel=0.02)


def test_a_fit_is_the_rate_and_cv_of_the_trace() -> None:
    gaps = np.random.default_rng(0).weibull(0.6, 5000)
    ones = np.ones(5000, dtype=int)
    trace = Trace(np.cumsum(gaps), ones, ones)
    fitted, seen = Gamma.fit(trace), summary(trace)
    assert (fitted.rate_per_s, fitted.cv) == (seen.rate_per_s, seen.burstiness)
    with pytest.raises(BadInput, match="irregular"):
        Gamma.fit(Trace(np.arange(9.0), ones[:9], ones[:9]))
    with pytest.raises(BadInput, match="irregular"):
        Gamma.fit(Trace(np.zeros(9), ones[:9], ones[:9]))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Poisson(0), "rate_per_s is 0"),
        (lambda: Poisson(float("nan")), "rate_per_s is nan"),
        (lambda: Gamma(1, 1000), "cv is 1000"),
        (lambda: OnOff(1, 0, 1), "on_s is 0"),
        (lambda: OnOff(1, 1, 1, -1), "off_rate_per_s is -1"),
        (lambda: Sinusoidal(1, 1.5), r"swing is 1\.5"),
        (lambda: Sinusoidal(1, 1, float("inf")), "peak_hour is inf"),
        (lambda: Hourly(()), "hourly rates"),
        (lambda: Hourly((0.0, 0.0)), "not all zero"),
        (lambda: Poisson(1).times(0, np.random.default_rng(0)), "duration_s is 0"),
    ],
)
def test_nonsense_is_refused(make: object, said: str) -> None:
    assert callable(make)
    with pytest.raises(BadInput, match=said):
        make()
