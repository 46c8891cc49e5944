"""Scales: order is kept, ticks are round and inside."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.report.svg import SHAPES, Chart, axis

positive = st.floats(1e-9, 1e15)


@given(st.lists(positive, min_size=1, max_size=20), st.booleans())
def test_an_axis_keeps_the_order_of_its_values(values: list[float], log: bool) -> None:
    scale = axis("x", values, str, log=log)
    places = [scale.place(v) for v in sorted(values)]
    assert places == sorted(places)
    assert 0 <= places[0] <= places[-1] <= 1


@given(st.lists(positive, min_size=1, max_size=20), st.booleans())
def test_ticks_are_few_and_inside(values: list[float], log: bool) -> None:
    scale = axis("x", values, str, log=log)
    ticks = scale.ticks()
    assert len(ticks) <= 8
    assert ticks == sorted(set(ticks))
    room = 1e-6 * (scale.high - scale.low) + 0.002 * scale.high
    assert all(scale.low - room <= t <= scale.high + room for t in ticks)


def test_ticks_are_round() -> None:
    assert axis("x", [140_000], str).ticks() == [0, 25_000, 50_000, 75_000, 100_000, 125_000]
    assert axis("x", [10_000, 160_000], str, log=True).ticks() == pytest.approx(
        [10_000, 20_000, 50_000, 100_000]
    )


def test_more_is_right_and_up() -> None:
    chart = Chart(axis("x", [0, 10], str), axis("y", [0, 1], str))
    (x0, y0), (x1, y1) = chart.at((2, 0.1)), chart.at((9, 0.9))
    assert x1 > x0
    assert y1 < y0  # SVG counts downwards


def test_steps_hold_the_value_until_the_next() -> None:
    chart = Chart(axis("x", [0, 10], str), axis("y", [0, 1], str))
    chart.steps([(0, 1), (5, 0.5), (10, 0)], "s0")
    (points,) = re.findall(r'points="([^"]+)"', chart.drawn[0])
    heights = [float(p.split(",")[1]) for p in points.split()]
    assert heights[0] == heights[1] < heights[2] == heights[3] < heights[4]


def test_marks_differ_by_shape_as_well_as_by_colour() -> None:
    assert len(set(SHAPES)) == 8
