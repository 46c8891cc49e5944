"""TTSnap: begins more drawings than it can finish; a noise-aware judge drops poor ones early.

Paper: Qingtao Yu, Changlin Song, Minghao Sun, Zhengyang Yu, Vinay Kumar Verma, Soumya Roy, Sumit
    Negi, Hongdong Li, Dylan Campbell, "TTSnap: Test-Time Scaling of Diffusion Models via
    Noise-Aware Pruning", 2025, arXiv:2511.22242; sections 3.2 and 3.3.
Symbols: alpha -> keep; x_0|t -> paths.expected; r_phi -> scorer; N -> seeds.
Differs: the judge is a perceptron on points and goals, trained from the clean one by mean square
    only, without the preference loss; the judge's FLOPs are paid from the same purse.
Checked: tests/papers/test_ttsnap.py: on the flow in the plane the noise-aware judge ranks
    unfinished drawings better than the clean one (Kendall's tau), and pruning by it beats
    best-of-N at equal FLOPs.
Seed: 56
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bursar.backends.images.base import Floats
from bursar.errors import BadInput
from bursar.reason.images.base import Drawing, Studio
from bursar.reason.images.paths import LINEAR, POINT, expected, levels, step
from bursar.usage import Usage


@dataclass(frozen=True, slots=True)
class TTSnap:
    """After `after[i]` steps the best `keep[i]` of the drawings, by `scorer`, go on.

    `scorer` names a model in the purse that is told the goal; None asks the reward itself what it
    thinks of the clean points expected so far (pruning without a noise-aware judge).
    """

    steps: int = 10
    after: tuple[int, ...] = (2, 3, 5)
    keep: tuple[float, ...] = (0.4, 0.4, 0.5)
    scorer: str | None = "noise-aware"
    interpolant: str = LINEAR
    flow: str = "flow"

    def __post_init__(self) -> None:
        if len(self.after) != len(self.keep) or any(a >= self.steps for a in self.after):
            raise BadInput(
                f"after {self.after} needs a share in keep {self.keep} for each, and all below "
                f"{self.steps} steps"
            )

    async def draw(self, studio: Studio) -> Drawing:
        """As many seeds as can be paid with what pruning saves."""
        grid = levels(self.steps, self.interpolant)
        x = studio.noise(studio.most(lambda seeds: self._cost(studio, seeds)))
        for done, (t, to) in enumerate(pairwise(grid), 1):
            velocity = await studio.evaluate(self.flow, x, t)
            if not len(velocity):
                break
            x = x[: len(velocity)]
            clean = expected(x, t, velocity)
            if to == 0:
                studio.keep(clean)
                break
            if done in self.after:
                scores = await self._scores(studio, clean, t)
                best = np.argsort(-scores, kind="stable")[: self._kept(len(x), done)]
                x, velocity = x[best], velocity[best]
            x = step(x, t, to, velocity, 0.0)
        return studio.drawing()

    async def _scores(self, studio: Studio, clean: Floats, t: float) -> NDArray[np.float64]:
        """(n,) or fewer when the purse is empty."""
        if self.scorer is None:
            return studio.judge(clean)
        goals = np.broadcast_to(_goal(studio), clean.shape)
        states = np.concatenate((clean, goals), axis=1)
        scores = await studio.evaluate(self.scorer, states, t)
        return scores.reshape(len(scores)).astype(np.float64)

    def _kept(self, count: int, done: int) -> int:
        return max(1, math.floor(self.keep[self.after.index(done)] * count))

    def _cost(self, studio: Studio, seeds: int) -> Usage:
        """What it takes to begin with so many seeds."""
        look = studio.cost(self.flow, POINT)
        judged = Usage.zero()
        if self.scorer is not None:
            judged = studio.cost(self.scorer, np.concatenate((POINT, _goal(studio)[None]), axis=1))
        total, going = Usage.zero(), seeds
        for done in range(1, self.steps + 1):
            total += going * look
            if done in self.after and going:
                total += going * judged
                going = self._kept(going, done)
        return total


def _goal(studio: Studio) -> Floats:
    if studio.wish.goal is None:
        raise BadInput("a learned judge must be told a goal: give the wish one, or set scorer=None")
    return studio.wish.goal
