"""Every value curve: what `ValueCurve` promises, whatever the curve."""

import numpy as np
import pytest

from bursar.errors import BadInput
from bursar.value import CURVES, ValueCurve

SPEND = np.array([1.0, 2, 4, 8, 16, 32])
SHARE = 0.8 * (1 - 0.8**SPEND)


@pytest.fixture(params=CURVES, scope="module")
def kind(request: pytest.FixtureRequest) -> type[ValueCurve]:
    return CURVES[request.param]


@pytest.fixture(scope="module")
def curve(kind: type[ValueCurve]) -> ValueCurve:
    return kind.fit(SPEND, SHARE, trials=np.full(6, 400), draws=40)


def test_it_is_a_value_curve_between_0_and_1(curve: ValueCurve) -> None:
    assert isinstance(curve, ValueCurve)
    value = curve.value(np.linspace(0, 500, 997))
    assert value.shape == (997,)
    assert np.all((value >= 0) & (value <= 1))
    assert np.all(np.diff(value) >= -1e-12)


def test_marginal_is_the_slope_of_value(curve: ValueCurve) -> None:
    at = np.array([0.5, 1.5, 3.0, 10.0, 40.0])
    step = 1e-5
    slope = (curve.value(at + step) - curve.value(at - step)) / (2 * step)
    np.testing.assert_allclose(curve.marginal(at), slope, rtol=1e-4, atol=1e-8)
    assert np.all(curve.marginal(at) >= 0)


def test_fit_follows_the_points(curve: ValueCurve) -> None:
    assert np.abs(curve.value(SPEND) - SHARE).max() < 0.09


def test_interval_widens_with_its_level_and_holds_the_fit(curve: ValueCurve) -> None:
    low, high = curve.interval(SPEND, 0.95)
    narrow_low, narrow_high = curve.interval(SPEND, 0.5)
    assert np.all((low <= narrow_low) & (narrow_low <= narrow_high) & (narrow_high <= high))
    value = curve.value(SPEND)
    assert np.all((low - 0.02 <= value) & (value <= high + 0.02))


def test_same_seed_same_curve(kind: type[ValueCurve]) -> None:
    rng = np.random.default_rng(5)
    rows = rng.random((30, 6)) < SHARE
    one, two = (kind.fit(SPEND, rows, draws=20, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.value(SPEND), two.value(SPEND))
    np.testing.assert_array_equal(one.interval(SPEND), two.interval(SPEND))


def test_order_of_the_points_does_not_matter(kind: type[ValueCurve], curve: ValueCurve) -> None:
    turned = kind.fit(SPEND[::-1], SHARE[::-1], trials=np.full(6, 400), draws=0)
    np.testing.assert_allclose(turned.value(SPEND), curve.value(SPEND), atol=1e-3)


@pytest.mark.parametrize("flat", [0.0, 1.0])
def test_all_wrong_and_all_right_are_fitted_too(kind: type[ValueCurve], flat: float) -> None:
    fitted = kind.fit(SPEND, np.full(6, flat), trials=np.full(6, 50), draws=5)
    assert np.abs(fitted.value(SPEND) - flat).max() < 0.05


@pytest.mark.parametrize(
    ("spend", "value", "trials"),
    [
        ([1], [0.5], None),  # fewer points than parameters
        ([1, 1, 1, 1], [0.5] * 4, None),  # the same
        ([1, 2, 3, -4], [0.5] * 4, None),
        ([1, 2, 3, 4], [0.5, 0.5, 0.5, np.nan], None),
        ([1, 2, 3, 4], [0.5] * 3, None),
        ([1, 2, 3, 4], [0.5] * 4, [9, 9, 9, 0]),
        ([1, 2, 3, 4], [0.5, 0.5, 0.5, 1.5], [9] * 4),
    ],
)
def test_bad_points_are_refused(kind: type[ValueCurve], spend, value, trials) -> None:
    with pytest.raises(BadInput):
        kind.fit(spend, value, trials=trials)


def test_bad_questions_are_refused(curve: ValueCurve) -> None:
    with pytest.raises(BadInput, match="spend"):
        curve.value([-1.0])
    with pytest.raises(BadInput, match="level"):
        curve.interval([1.0], 1.5)
