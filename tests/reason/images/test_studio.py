"""Painting never spends more than the purse has, whoever else spends and whatever is cancelled."""

import asyncio

import numpy as np
import pytest

from bursar.backends.images import Evaluate, Evaluated, NextScale, PointModel
from bursar.budget import Budget
from bursar.errors import BadInput
from bursar.reason.images import (
    POINT_PAINTERS,
    SCALE_PAINTERS,
    Near,
    Shows,
    Studio,
    TTSnap,
    Wish,
)
from bursar.reason.images.base import WITHOUT_LIMIT
from bursar.reason.purse import PurseOf

MODELS = {name: PointModel.load(name) for name in ("flow", "noise-aware")}
EACH = MODELS["flow"].net.flops
GOAL = np.array([1.7, 0.0], np.float32)


class Counted(PointModel):
    """Counts what really went through the model."""

    __slots__ = ("rows",)

    async def complete(self, requests: list[Evaluate]) -> list[Evaluated]:  # type: ignore[override]
        await asyncio.sleep(0.001)
        done = await PointModel.complete(self, requests)
        for request in requests:
            COUNTS[self.name] = COUNTS.get(self.name, 0) + len(request.states)
        return done


COUNTS: dict[str, int] = {}


def studio(flops: float | None, *, parent: Budget | None = None, seed: int = 0) -> Studio:
    limits = None if flops is None else {"flops": flops}
    budget = Budget(limits, parent=parent, name="wish")
    purse = PurseOf(budget, {n: Counted(m.net, m.name) for n, m in MODELS.items()})
    return Studio(purse, Wish("w", 0, Near(GOAL), GOAL), np.random.default_rng(seed))


@pytest.mark.parametrize("name", POINT_PAINTERS)
@pytest.mark.parametrize("evaluations", [0, 1, 2, 9, 10, 37.5, 120])
def test_no_more_evaluations_than_are_paid(name: str, evaluations: float) -> None:
    COUNTS.clear()
    mine = studio(evaluations * EACH)
    drawing = asyncio.run(POINT_PAINTERS[name].draw(mine))
    spent = sum(count * MODELS[n].net.flops for n, count in COUNTS.items())
    assert spent == mine.purse.spent.flops
    assert spent <= evaluations * EACH
    if evaluations >= 37.5:
        assert spent > 0.7 * evaluations * EACH, "what is paid for is used"
        assert drawing.picture is not None
        assert drawing.reward == Near(GOAL)(drawing.picture[None])[0]


@pytest.mark.parametrize("name", SCALE_PAINTERS)
@pytest.mark.parametrize("pictures", [0, 0.5, 1, 2.7, 9])
def test_no_more_maps_than_are_paid(name: str, pictures: float) -> None:
    model = NextScale.load()
    limit = pictures * sum(model.drawing_flops)
    budget = Budget({"flops": limit})
    wish = Wish("two squares", 0, Shows(0, 2))
    mine = Studio(PurseOf(budget, {model.name: model}), wish, np.random.default_rng(0))
    drawing = asyncio.run(SCALE_PAINTERS[name].draw(mine))
    assert budget.spent.flops is not None
    assert budget.spent.flops <= limit
    assert (drawing.picture is not None) == (pictures >= 1)


def test_the_same_seed_draws_the_same() -> None:
    for painter in POINT_PAINTERS.values():
        first, again = (asyncio.run(painter.draw(studio(60 * EACH))) for _ in range(2))
        assert np.array_equal(first.picture, again.picture)


async def test_wishes_that_share_a_budget_do_not_pass_it() -> None:
    team = Budget({"flops": 200 * EACH}, name="team")
    studios = [studio(None, parent=team, seed=i) for i in range(6)]
    painters = list(POINT_PAINTERS.values())
    await asyncio.gather(*(painters[i % 4].draw(s) for i, s in enumerate(studios)))
    assert team.spent.flops is not None
    assert team.spent.flops <= 200 * EACH
    assert not team.overrun


async def test_a_cancelled_drawing_leaves_nothing_held_and_stays_within_the_limit() -> None:
    COUNTS.clear()
    mine = studio(500 * EACH)
    task = asyncio.ensure_future(POINT_PAINTERS["rollover"].draw(mine))
    await asyncio.sleep(0.03)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert mine.purse.budget.held.flops == 0
    assert COUNTS["flow"] * EACH <= mine.purse.spent.flops <= 500 * EACH


@pytest.mark.parametrize("name", POINT_PAINTERS)
def test_out_of_time_it_ends_with_what_there_is(name: str) -> None:
    mine = studio(None, parent=Budget({"seconds": 0.05}))
    assert asyncio.run(POINT_PAINTERS[name].draw(mine)).picture is None


def test_without_a_limit_a_plan_still_ends() -> None:
    assert studio(None).most(lambda n: n * MODELS["flow"].upper_bound(_one())) == WITHOUT_LIMIT


def _one() -> Evaluate:
    return Evaluate(np.zeros((1, 2), np.float32), 0.5, 0)


def test_a_learned_judge_must_be_told_the_goal() -> None:
    mine = studio(100 * EACH)
    mine.wish = Wish("w", 0, Near(GOAL))
    with pytest.raises(BadInput, match="scorer=None"):
        asyncio.run(TTSnap().draw(mine))
    with pytest.raises(BadInput, match="after"):
        TTSnap(steps=4, after=(5,), keep=(0.5,))
