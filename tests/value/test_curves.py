"""Curves: parameters come back from synthetic data; intervals hold the truth as often as said."""

import numpy as np
import pytest

from bursar.errors import BadInput
from bursar.value import PowerLaw, Saturation, Sigmoid

TRUTHS = {
    "saturation": Saturation(0.8, 0.15),
    "power-law": PowerLaw(0.9, 0.3, 0.6),
    "sigmoid": Sigmoid(0.85, 0.1, 12.0, 1.4),
}
SPEND = np.array([1.0, 2, 4, 8, 16, 32, 64, 128])


@pytest.mark.parametrize("name", TRUTHS)
def test_exact_points_give_the_parameters_back(name: str) -> None:
    truth = TRUTHS[name]
    fitted = type(truth).fit(SPEND, truth.value(SPEND), draws=0)
    for field in set(vars(truth)) - {"draws"}:
        assert getattr(fitted, field) == pytest.approx(getattr(truth, field), rel=0.02), field


def _covered(name: str, levels: list[float], seeds: range, by_question: bool) -> list[float]:
    """Per level, the share of (seed, spend) where the interval holds the true value."""
    truth = TRUTHS[name]
    inside = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        if by_question:
            fitted = type(truth).fit(
                SPEND, rng.random((120, 8)) < truth.value(SPEND), draws=60, seed=seed
            )
        else:
            seen = rng.binomial(200, truth.value(SPEND)) / 200
            fitted = type(truth).fit(SPEND, seen, trials=np.full(8, 200), draws=60, seed=seed)
        ends = [fitted.interval(SPEND, level) for level in levels]
        inside.append(
            [(low <= truth.value(SPEND)) & (truth.value(SPEND) <= high) for low, high in ends]
        )
    return [float(share) for share in np.mean(inside, axis=(0, 2))]


@pytest.mark.parametrize("name", ["saturation", "power-law"])
@pytest.mark.parametrize("by_question", [False, True])
def test_intervals_hold_the_truth_as_often_as_they_say(name: str, by_question: bool) -> None:
    # 24 seeds x 8 correlated points: a standard error of about 4 %
    wide, narrow = _covered(name, [0.9, 0.5], range(24), by_question)
    assert 0.78 <= wide <= 0.98
    assert 0.3 < narrow < 0.7


@pytest.mark.slow
@pytest.mark.parametrize("name", TRUTHS)
def test_coverage_over_many_seeds(name: str) -> None:
    for level, share in zip((0.8, 0.9), _covered(name, [0.8, 0.9], range(60), False), strict=True):
        assert abs(share - level) < 0.08


def test_residual_bootstrap_without_trials() -> None:
    truth = TRUTHS["saturation"]
    noise = np.random.default_rng(2).normal(0, 0.02, 8)
    fitted = Saturation.fit(SPEND, truth.value(SPEND) + noise)
    low, high = fitted.interval(SPEND, 0.95)
    assert np.mean((low <= truth.value(SPEND)) & (truth.value(SPEND) <= high)) > 0.7
    assert np.all(high - low < 0.1)


def test_given_parameters_have_no_interval() -> None:
    with pytest.raises(BadInput, match="fit"):
        Saturation(0.5, 0.1).interval([1.0])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Saturation(1.2, 0.1),
        lambda: Saturation(0.5, 0.0),
        lambda: PowerLaw(0.5, 0.5, -1.0),
        lambda: Sigmoid(0.2, 0.5, 1.0, 1.0),
    ],
)
def test_parameters_out_of_range_are_refused(make) -> None:
    with pytest.raises(BadInput):
        make()


@pytest.mark.parametrize(("steepness", "slope"), [(2.0, 0.0), (1.0, 0.05), (0.5, np.inf)])
def test_sigmoid_slope_at_no_spend(steepness: float, slope: float) -> None:
    assert Sigmoid(0.6, 0.1, 10.0, steepness).marginal(0.0) == pytest.approx(slope)
