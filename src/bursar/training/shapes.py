"""What the models of pictures learn from: points on four shapes in the plane."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bursar.backends.images.points import PROMPTS

Points = NDArray[np.float32]


def points(prompt: int, count: int, rng: np.random.Generator) -> Points:
    """(count, 2) points of `PROMPTS[prompt]`, within about 2 of the middle."""
    return _SHAPES[PROMPTS[prompt]](count, rng).astype(np.float32)


def _ring(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Eight round heaps."""
    angles = rng.integers(8, size=count) * (np.pi / 4)
    middles = 1.7 * np.stack((np.cos(angles), np.sin(angles)), axis=1)
    return middles + 0.14 * rng.normal(size=(count, 2))


def _moons(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Two half circles that hold each other."""
    angles, lower = np.pi * rng.random(count), rng.random(count) < 0.5
    x = np.where(lower, 0.6 - 1.2 * np.cos(angles), 1.2 * np.cos(angles) - 0.6)
    y = np.where(lower, 0.35 - 1.2 * np.sin(angles), 1.2 * np.sin(angles) - 0.35)
    return np.stack((x, y), axis=1) + 0.1 * rng.normal(size=(count, 2))


def _spiral(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Two arms, one and a half turns each."""
    along = np.sqrt(rng.random(count))
    angles = 3 * np.pi * along + np.pi * rng.integers(2, size=count)
    arms = 2.0 * along[:, None] * np.stack((np.cos(angles), np.sin(angles)), axis=1)
    return arms + 0.07 * rng.normal(size=(count, 2))


def _board(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """The dark squares of a board of four by four."""
    column, pair = rng.integers(4, size=count), rng.integers(2, size=count)
    squares = np.stack((column, 2 * pair + column % 2), axis=1)
    return squares + rng.random((count, 2)) - 2.0


_SHAPES: dict[str, Callable[[int, np.random.Generator], NDArray[np.float64]]] = {
    "ring": _ring,
    "moons": _moons,
    "spiral": _spiral,
    "board": _board,
}
