"""The flow in the plane: it draws its shapes, and every evaluation is counted."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from bursar.backends.images import PROMPTS, Evaluate, PointModel
from bursar.backends.images.base import ROWS_AT_ONCE, Floats, evaluate_rows
from bursar.backends.images.perceptron import Perceptron
from bursar.errors import BadInput
from bursar.reason.images.paths import LINEAR, VP, expected, levels, step
from bursar.usage import Usage

FLOW = PointModel.load("flow")


def draw(prompt: int, grid: Sequence[float], churn: float, count: int = 500) -> Floats:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 2)).astype(np.float32)
    for t, to in pairwise(grid):
        noise = rng.normal(size=x.shape).astype(np.float32)
        x = step(x, t, to, FLOW.values(x, t, prompt), churn, noise)
    return x


@pytest.mark.parametrize(
    ("interpolant", "churn"), [(LINEAR, 0.0), (VP, 0.0), (LINEAR, 1.0), (VP, 1.0)]
)
def test_ode_and_sde_on_both_interpolants_draw_the_ring(interpolant: str, churn: float) -> None:
    points = draw(PROMPTS.index("ring"), levels(50, interpolant), churn)
    radius = np.linalg.norm(points, axis=1)
    assert (abs(radius - 1.7) < 0.5).mean() > 0.9
    angle = np.arctan2(points[:, 1], points[:, 0])
    eighth = np.bincount(np.rint(angle / (np.pi / 4)).astype(int) % 8, minlength=8)
    assert eighth.min() > 500 / 8 / 2  # every heap has its share


def test_a_step_down_to_zero_is_the_clean_point_and_adds_no_noise() -> None:
    x, v = np.ones((3, 2), np.float32), np.full((3, 2), 0.5, np.float32)
    noise = np.full((3, 2), 9.0, np.float32)
    assert np.allclose(step(x, 0.2, 0.0, v, 1.0, noise), expected(x, 0.2, v))


def test_flops_are_two_per_weight_and_row() -> None:
    net = Perceptron(((np.ones((3, 4), np.float32), np.zeros(4, np.float32)),))
    assert net.flops == 24
    request = Evaluate(np.zeros((7, 2), np.float32), 0.5, 0)
    (done,) = asyncio.run(FLOW.complete([request]))
    assert done.usage == FLOW.upper_bound(request)
    assert done.usage.flops == 7 * FLOW.net.flops


def test_out_of_time_it_hands_back_what_there_is() -> None:
    request = Evaluate(np.zeros((3 * ROWS_AT_ONCE, 2), np.float32), 0.5, 0, seconds=0.0)
    (done,) = asyncio.run(FLOW.complete([request]))
    assert len(done.values) == 0
    assert done.usage.flops == 0


async def test_a_cancelled_evaluation_says_what_it_spent() -> None:
    seen: list[int] = []

    def values(states: Floats, at: float, condition: int) -> Floats:
        seen.append(len(states))
        if len(seen) == 3:  # the empty rows, then two slices
            task.cancel()
        return states

    request = Evaluate(np.zeros((9 * ROWS_AT_ONCE, 2), np.float32), 0.5, 0)
    task = asyncio.ensure_future(evaluate_rows(request, values, Usage(flops=2)))
    with pytest.raises(asyncio.CancelledError) as ended:
        await task
    assert ended.value.usage.flops == 2 * sum(seen) == 4 * ROWS_AT_ONCE  # type: ignore[attr-defined]


def test_bad_names_are_told() -> None:
    with pytest.raises(BadInput, match="choose one of clean, flow, noise-aware"):
        PointModel.load("flaw")
    with pytest.raises(BadInput, match="prompt 9"):
        FLOW.values(np.zeros((1, 2), np.float32), 0.5, 9)
