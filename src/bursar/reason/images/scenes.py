"""A known reward of small pictures: are there as many things as wanted, and are they whole?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bursar.backends.images.scales import LEVELS, SIDES, THINGS, Maps
from bursar.reason.images.base import Pictures

_TOUCHING = np.ones((3, 3), int)


@dataclass(frozen=True, slots=True)
class Shows:
    """The share of things that are right: whole ones wanted, over all wanted or there.

    A thing is what touches, and as whole as it overlaps with what it should look like
    (intersection over union at the best place). Maps of a coarser scale are enlarged first, as a
    decoder shows them.
    """

    thing: int
    count: int

    def __call__(self, pictures: Pictures) -> NDArray[np.float64]:
        """(n, side, side) levels -> (n,) in [0, 1]."""
        shape = list(THINGS.values())[self.thing]
        return np.array([self._one(p >= LEVELS // 2, shape) for p in enlarged(pictures)])

    def _one(self, bright: NDArray[np.bool_], shape: NDArray[np.bool_]) -> float:
        labels, found = ndimage.label(bright, structure=_TOUCHING)
        whole = sorted((_overlap(labels == i + 1, shape) for i in range(found)), reverse=True)
        return sum(whole[: self.count]) / max(self.count, found)


def enlarged(maps: Pictures) -> Maps:
    """(n, side, side) -> (n, 16, 16): every place as large as the block it stands for."""
    factor = SIDES[-1] // maps.shape[1]
    out: Maps = maps.repeat(factor, axis=1).repeat(factor, axis=2)
    return out


def _overlap(thing: NDArray[np.bool_], shape: NDArray[np.bool_]) -> float:
    """Intersection over union with `shape` where they share most."""
    shared = ndimage.correlate(thing.astype(int), shape.astype(int), mode="constant").max()
    return float(shared / (thing.sum() + shape.sum() - shared))
