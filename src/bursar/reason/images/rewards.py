"""Known rewards of pictures, to search for and to judge by."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bursar.reason.images.base import Pictures, Reward


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """Minus the distance to a point."""

    goal: NDArray[np.float32]
    """(2,)"""

    def __call__(self, pictures: Pictures) -> NDArray[np.float64]:
        """(n, 2) -> (n,)."""
        distance: NDArray[np.float64] = np.linalg.norm(pictures - self.goal, axis=1)
        return -distance.astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Noisy:
    """A reward that is seen through noise, fresh at every look."""

    reward: Reward
    sd: float
    rng: np.random.Generator

    def __call__(self, pictures: Pictures) -> NDArray[np.float64]:
        """(n, ...) -> (n,)."""
        return self.reward(pictures) + self.sd * self.rng.normal(size=len(pictures))
