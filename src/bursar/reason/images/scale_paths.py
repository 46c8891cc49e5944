"""Drawing pictures scale by scale: best-of-N, and the batch of pictures that other painters thin.

A schedule says how many pictures are drawn at each scale and how a batch is thinned before the
next; `ScalePainter` plays it with as large batches as the purse pays for.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bursar.backends.images.base import Floats
from bursar.backends.images.scales import SIDES, Maps
from bursar.reason.images.base import Drawing, Studio
from bursar.usage import Usage

Thin = Callable[[Studio, Maps, int], NDArray[np.intp]]
"""(studio, maps (n, side, side), m) -> numbers (m,) of those that go on, some perhaps twice."""


def first_ones(studio: Studio, maps: Maps, count: int) -> NDArray[np.intp]:
    """Whatever came first: no search."""
    return np.arange(count)


@dataclass(frozen=True, slots=True)
class ScalePainter:
    """`shares[s]` pictures, times a number as large as can be paid, are drawn at scale s.

    `thin[s]` chooses which of scale s's go on. Equal shares and `first_ones`: best-of-N.
    """

    shares: tuple[float, ...] = (1.0,) * len(SIDES)
    thin: tuple[Thin, ...] = (first_ones,) * (len(SIDES) - 1)
    temperature: float = 0.6
    model: str = "next-scale"

    async def draw(self, studio: Studio) -> Drawing:
        """Finished pictures are judged, the best is kept."""
        size = studio.most(lambda n: self._cost(studio, n / UNITS)) / UNITS
        maps = np.zeros((self._count(0, size), 1, 1), np.int64)
        for scale in range(len(SIDES)):
            logprobs = await studio.evaluate(self.model, maps, scale)
            if not len(logprobs):
                break
            maps = sampled(logprobs / self.temperature, studio.rng)
            if scale == len(SIDES) - 1:
                studio.keep(maps)
                break
            count = min(len(maps), self._count(scale + 1, size))
            maps = maps[self.thin[scale](studio, maps, count)]
        return studio.drawing()

    def _count(self, scale: int, size: float) -> int:
        """At least one at every scale, so that a purse for one picture draws one."""
        return max(1, int(self.shares[scale] * size + 1e-9)) if size else 0

    def _cost(self, studio: Studio, size: float) -> Usage:
        state = np.zeros((1, 1, 1), np.int64)
        return Usage.total(
            self._count(scale, size) * studio.cost(self.model, state, scale)
            for scale in range(len(SIDES))
        )


UNITS = 64
"""A batch grows by small parts of its shares, so that little of what is paid is left."""


def sampled(logprobs: Floats, rng: np.random.Generator) -> Maps:
    """(n, side, side, levels) -> (n, side, side): every place by itself (Gumbel's trick)."""
    drawn: Maps = np.argmax(logprobs + rng.gumbel(size=logprobs.shape), axis=-1)
    return drawn
