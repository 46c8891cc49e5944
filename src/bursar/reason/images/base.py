"""Drawing pictures for a reward: what is wanted, what came out, and the door to the models.

A `Painter` is to pictures what a `Strategy` is to questions: it spends a purse on one `Wish` and
never passes it. It pays for evaluations of models; the reward of a picture is free and is asked
through the `Studio`, which counts how often. It plans by what can be counted before: a limit on
wall time ends it where it is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bursar.backends.images.base import Evaluate, Evaluated, Floats
from bursar.errors import BackendError
from bursar.reason.purse import CallOf, PurseOf
from bursar.usage import Usage

Pictures = NDArray[Any]
"""(n, ...) clean points, or pictures of any size; what a `Reward` and a `Sampler` agree on."""
Reward = Callable[[Pictures], NDArray[np.float64]]
"""(n, ...) pictures -> (n,): more is better."""

WITHOUT_LIMIT = 4096
"""The most that a painter plans for, of whatever it counts, when nothing limits it."""


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """What is to be drawn: a prompt, which the models know, and a reward, which they do not."""

    id: str
    condition: int
    reward: Reward
    goal: Floats | None = None
    """What a learned judge of the reward is told of it; None: there is none to tell."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """The best picture found; None when not one could be paid."""

    picture: Pictures | None
    reward: float
    """Of the picture; minus infinity without one."""
    finished: int
    """Pictures that were drawn to the end."""
    judged: int
    """Times that the reward was asked, of finished and unfinished pictures."""


@dataclass(slots=True)
class Studio:
    """Buys evaluations for one wish and keeps the best finished picture."""

    purse: PurseOf[Evaluate, Evaluated]
    wish: Wish
    rng: np.random.Generator
    judged: int = 0
    finished: int = 0
    best: Pictures | None = None
    best_reward: float = field(default=-np.inf)

    def cost(self, model: str, like: NDArray[Any], at: float = 0.0) -> Usage:
        """What `model` uses for one state shaped as `like` (1, ...)."""
        return self.purse.upper_bound(CallOf(model, self._request(like, at)))

    def most(self, plan: Callable[[int], Usage]) -> int:
        """The largest n for which the purse pays `plan(n)`, which grows with n."""
        low, high = 0, WITHOUT_LIMIT
        while low < high:
            middle = (low + high + 1) // 2
            if self.purse.fits(plan(middle), 1):
                low = middle
            else:
                high = middle - 1
        return low

    async def evaluate(self, model: str, states: NDArray[Any], at: float) -> Floats:
        """What `model` says of the first m of `states` (n, ...): m < n when no more are paid.

        At m = 0 the shape says nothing. Raises `BackendError` when the model fails.
        """
        fit = self.purse.fits(self.cost(model, states[:1], at), len(states))
        asked = self._request(states[:fit], at)
        (done,) = await self.purse.complete([CallOf(model, asked)])
        if isinstance(done, BackendError):
            raise done
        return done.values if done is not None else np.empty((0,), np.float32)

    def noise(self, count: int) -> Floats:
        """(count, 2) points of pure noise."""
        return self.rng.normal(size=(count, 2)).astype(np.float32)

    def judge(self, pictures: Pictures) -> NDArray[np.float64]:
        """Rewards (n,) of pictures or of what pictures are expected to become."""
        self.judged += len(pictures)
        return self.wish.reward(pictures)

    def keep(self, pictures: Pictures) -> None:
        """Judges finished pictures and remembers the best."""
        if not len(pictures):
            return
        self.finished += len(pictures)
        rewards = self.judge(pictures)
        top = int(np.argmax(rewards))
        if rewards[top] > self.best_reward:
            self.best, self.best_reward = pictures[top], float(rewards[top])

    def drawing(self) -> Drawing:
        """What there is now."""
        return Drawing(self.best, self.best_reward, self.finished, self.judged)

    def _request(self, states: NDArray[Any], at: float) -> Evaluate:
        return Evaluate(states, at, self.wish.condition, self.wish.id)


class Painter(Protocol):
    """Spends a studio's purse on its wish."""

    async def draw(self, studio: Studio) -> Drawing:
        """The best picture that the purse allowed."""
        ...
