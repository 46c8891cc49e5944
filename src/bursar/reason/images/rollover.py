"""Rollover Budget Forcing: particles on a flow's SDE; evaluations a step did not need roll over.

Paper: Jaihoon Kim, Taehoon Yoon, Jisung Hwang, Minhyuk Sung, "Inference-Time Scaling for Flow
    Models via Stochastic Generation and Rollover Budget Forcing", 2025, arXiv:2503.19385;
    sections 4 and 5.
Symbols: K -> init; Q -> quota; NFE -> evaluations; x_0|t -> paths.expected; r* -> best.
Differs: the SDE's step is the ancestral one, not Euler-Maruyama, so the interpolant shows only in
    where the steps lie; the reward of an expected clean point costs nothing.
Checked: tests/papers/test_rollover.py: in the plane, particles on the SDE come at least twice as
    near to a goal as best-of-N on the ODE at equal evaluations; rollover beats a fixed quota of two
    tries a step over ten seeds, and gains nothing on one of twenty.
Seed: 57
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bursar.backends.images.base import Floats
from bursar.reason.images.base import Drawing, Studio
from bursar.reason.images.paths import POINT, VP, expected, levels, step


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where the particle is or could be, and the reward of the clean point expected from there."""

    x: Floats
    velocity: Floats
    reward: float


@dataclass(frozen=True, slots=True)
class RolloverBudgetForcing:
    """One particle, moved step by step to a promising place among those the SDE could take it to.

    A step tries places until one is expected to become better than anything before; what is left
    of its quota is the next step's. `rollover` False: every step tries its whole quota and takes
    the best (SVDD). Places at the last noise level say the finished point at once; the best of
    them is kept, and the last step tries all that is left.
    """

    steps: int = 10
    init: int = 8
    churn: float = 1.0
    interpolant: str = VP
    rollover: bool = True
    flow: str = "flow"

    async def draw(self, studio: Studio) -> Drawing:
        """Divides the evaluations that are paid for evenly over the steps after the first."""
        each = studio.cost(self.flow, POINT)
        paid = studio.most(lambda n: n * each)
        grid = levels(max(1, min(self.steps, paid)), self.interpolant)
        moves = len(grid) - 2
        first = paid if moves == 0 else max(1, min(self.init, paid - moves))
        quotas = np.diff(np.linspace(0, paid - first, moves + 1).astype(int)).tolist()
        here = await self._look(studio, studio.noise(first), grid[0], last=not moves)
        best, left = -np.inf, 0
        for k, (quota, (t, to)) in enumerate(zip(quotas, pairwise(grid[:-1]), strict=True), 1):
            if here is None:
                break
            best, allowed, used = max(best, here.reward), quota + left, 0
            found: _Place | None = None
            for together in [1] * allowed if self.rollover and k < moves else [allowed]:
                noise = studio.noise(together)
                places = step(here.x[None], t, to, here.velocity[None], self.churn, noise)
                seen = await self._look(studio, places, to, last=k == moves)
                used += together
                if seen is None:
                    break
                found = seen if found is None or seen.reward > found.reward else found
                if found.reward > best:
                    break
            here, left = found, allowed - used
        return studio.drawing()

    async def _look(self, studio: Studio, x: Floats, t: float, *, last: bool) -> _Place | None:
        """The most promising of places x (n, 2); None at the end, or when not one was paid for."""
        velocity = await studio.evaluate(self.flow, x, t)
        if not len(velocity):
            return None
        clean = expected(x[: len(velocity)], t, velocity)
        if last:
            studio.keep(clean)
            return None
        rewards = studio.judge(clean)
        top = int(np.argmax(rewards))
        return _Place(x[top], velocity[top], float(rewards[top]))
