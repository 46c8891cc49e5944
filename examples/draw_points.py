"""Draw a point near a wish with a purse of 120 evaluations of the built-in flow, in four ways."""

import asyncio

import numpy as np

from bursar import Budget
from bursar.backends.images import PROMPTS, PointModel
from bursar.reason.images import POINT_PAINTERS, Near, Studio, Wish
from bursar.reason.purse import PurseOf

models = {name: PointModel.load(name) for name in ("flow", "noise-aware")}
goal = np.array([1.2, 0.4], np.float32)
wish = Wish("moon", PROMPTS.index("moons"), Near(goal), goal)

for name, painter in POINT_PAINTERS.items():
    budget = Budget({"flops": 120 * models["flow"].net.flops})
    studio = Studio(PurseOf(budget, models), wish, np.random.default_rng(0))
    drawing = asyncio.run(painter.draw(studio))
    used = budget.spent.flops / models["flow"].net.flops
    print(f"{name}: {-drawing.reward:.3f} from the wish, {used:.1f} evaluations")
