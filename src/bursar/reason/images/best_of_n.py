"""Best-of-N for pictures: draw as many as the purse pays for, keep the best.

What every painter is measured against, with the same purse and the same reward.
"""

from dataclasses import dataclass
from itertools import pairwise

from bursar.reason.images.base import Drawing, Studio
from bursar.reason.images.paths import LINEAR, POINT, expected, levels, step


@dataclass(frozen=True, slots=True)
class BestOfN:
    """Points from the flow's ODE, or from its SDE with `churn` above 0."""

    steps: int = 10
    interpolant: str = LINEAR
    churn: float = 0.0
    flow: str = "flow"

    async def draw(self, studio: Studio) -> Drawing:
        """As many paths of `steps` evaluations as are paid for, all at once."""
        each = studio.cost(self.flow, POINT)
        steps = max(1, min(self.steps, studio.most(lambda n: n * each)))
        grid = levels(steps, self.interpolant)
        x = studio.noise(studio.most(lambda n: n * steps * each))
        for t, to in pairwise(grid):
            velocity = await studio.evaluate(self.flow, x, t)
            if not len(velocity):
                break
            x = x[: len(velocity)]
            if to == 0:
                studio.keep(expected(x, t, velocity))
            else:
                x = step(x, t, to, velocity, self.churn, studio.noise(len(x)))
        return studio.drawing()
