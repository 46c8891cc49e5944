"""The guarantee holds whatever the scores are; the worst look is what a threshold must exceed."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import BadInput
from bursar.reason.exits.conformal import threshold, worst_look


@given(
    scores=st.lists(st.floats(0, 1), min_size=1, max_size=8),
    safe=st.lists(st.booleans(), min_size=8, max_size=8),
    above=st.floats(0, 1),
)
def test_a_text_is_left_at_an_unsafe_look_only_below_its_worst_look(
    scores: list[float], safe: list[bool], above: float
) -> None:
    safe = safe[: len(scores)]
    first = next((i for i, s in enumerate(scores) if s > above), None)
    if first is not None and not safe[first]:
        assert above < worst_look(scores, safe)


def test_safe_exits_shield_the_looks_after_them() -> None:
    assert worst_look([0.2, 0.9, 0.8], [False, True, False]) == 0.2
    assert worst_look([0.2, 0.9, 0.95], [True, True, False]) == 0.95
    assert worst_look([0.5, 0.6], [True, True]) == -math.inf


def test_many_dependent_looks_are_left_wrongly_at_most_alpha_of_the_time() -> None:
    """Simulated texts of ten looks whose scores share a text's own shift; no look is safe."""
    rng = np.random.default_rng(0)

    def draw(count: int) -> np.ndarray:
        return rng.normal(size=(count, 1)) + rng.normal(size=(count, 10))

    none = [False] * 10
    rates, by_event = [], []
    for _ in range(200):
        calibration, fresh = draw(80), draw(50)
        above = threshold([worst_look(row, none) for row in calibration], 0.1)
        rates.append((fresh.max(axis=1) > above).mean())
        by_event.append((fresh.max(axis=1) > threshold(calibration.ravel(), 0.1)).mean())
    assert np.mean(rates) == pytest.approx(0.1, abs=0.015)
    assert np.mean(by_event) > 0.25


def test_too_few_texts_for_so_small_an_alpha_never_exit() -> None:
    assert threshold([0.1] * 18, 0.05) == math.inf
    assert threshold([0.1] * 19, 0.05) == 0.1


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1])
def test_alpha_is_a_share(alpha: float) -> None:
    with pytest.raises(BadInput, match="alpha"):
        threshold([0.5], alpha)
