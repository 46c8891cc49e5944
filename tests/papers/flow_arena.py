"""Where claims about flows are tested: goals on the flow's own shapes, equal purses and seeds."""

import asyncio
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bursar.backends.images import PROMPTS, PointModel, Sampler
from bursar.backends.images.base import Floats
from bursar.budget import Budget
from bursar.reason.images import Drawing, Near, Painter, Studio, Wish
from bursar.reason.images.base import Reward
from bursar.reason.images.paths import LINEAR, expected, levels, step
from bursar.reason.purse import PurseOf


@cache
def models() -> dict[str, PointModel]:
    return {name: PointModel.load(name) for name in ("flow", "clean", "noise-aware")}


def drawn(prompt: int, count: int, rng: np.random.Generator, steps: int = 40) -> Floats:
    """(count, 2) points of the flow itself, unpaid."""
    return trajectory(prompt, count, rng, steps)[-1]


def trajectory(prompt: int, count: int, rng: np.random.Generator, steps: int) -> list[Floats]:
    """The clean points expected at each step, and last the points that came out."""
    x, seen = rng.normal(size=(count, 2)).astype(np.float32), []
    grid = levels(steps, LINEAR)
    for t, to in pairwise(grid):
        velocity = models()["flow"].values(x, t, prompt)
        seen.append(expected(x, t, velocity))
        x = step(x, t, to, velocity, 0.0)
    return [*seen, x]


def goals(each: int) -> Iterator[tuple[int, Floats]]:
    """(prompt, goal): `each` places per prompt where the flow does put points."""
    for prompt in range(len(PROMPTS)):
        for goal in drawn(prompt, each, np.random.default_rng(70 + prompt)):
            yield prompt, goal


def rewards(
    painter: Painter,
    evaluations: int,
    *,
    seeds: int,
    each: int = 2,
    reward: Reward | None = None,
    more: Mapping[str, Sampler] | None = None,
) -> NDArray[np.float64]:
    """(seeds,) mean of minus the distance to the goal, over prompts and goals.

    Every drawing has a purse of that many evaluations of the flow, in FLOPs. With `reward` the
    painter sees that one instead.
    """
    found = np.zeros((seeds, len(PROMPTS) * each))
    for seed in range(seeds):
        for i, (prompt, goal) in enumerate(goals(each)):
            budget = Budget({"flops": evaluations * models()["flow"].net.flops})
            purse = PurseOf(budget, {**models(), **(more or {})})
            wish = Wish(f"{prompt}-{i}", prompt, reward or Near(goal), goal)
            drawing = draw(painter, Studio(purse, wish, np.random.default_rng((seed, i))))
            assert not budget.overrun
            assert drawing.picture is not None
            found[seed, i] = Near(goal)(drawing.picture[None])[0]
    return found.mean(1)


def draw(painter: Painter, studio: Studio) -> Drawing:
    return asyncio.run(painter.draw(studio))
