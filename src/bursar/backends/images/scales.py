"""Small pictures drawn scale by scale, 1x1 to 16x16, each map at once given the one before.

A map holds the brightness of a picture's blocks, their mean in `LEVELS` levels, so that the last
map says all that the ones before it do and is the only one that the next needs to see. Within a
map, places are drawn independently of each other, as in visual autoregression: that is fast, and
why a drawing can go wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from bursar.backends.images.base import Evaluate, Evaluated, Floats, evaluate_rows
from bursar.backends.images.perceptron import Perceptron
from bursar.backends.images.points import IMAGE_WEIGHTS
from bursar.errors import BadInput
from bursar.usage import Usage

Maps = NDArray[np.int64]

SIDES = (1, 2, 4, 8, 16)
"""Of the maps, by scale; `Evaluate.at` is the number of the scale that is to be drawn."""
LEVELS = 8
"""Brightnesses; a finished picture has only the lowest and the highest."""
REACH = 2
"""Places of the map before that a place sees in each direction."""

THINGS: dict[str, NDArray[np.bool_]] = {
    "square": np.ones((4, 4), bool),
    "lying bar": np.ones((2, 6), bool),
    "standing bar": np.ones((6, 2), bool),
    "cross": np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool).repeat(2, 0).repeat(2, 1),
}
"""What can be asked for; `Evaluate.condition` is its number. A picture shows one to four of it."""


@dataclass(frozen=True, slots=True, eq=False)
class NextScale:
    """One perceptron per scale: from a place and its surroundings to the places it is divided into.

    States (n, side, side) are levels of the map before (zeros (n, 1, 1) for the first scale);
    values are log-probabilities (n, side', side', LEVELS) of the next map's.
    """

    nets: tuple[Perceptron, ...]
    name: str = "next-scale"

    @classmethod
    def load(cls) -> "NextScale":
        """The built-in generator."""
        tensors = load_file(IMAGE_WEIGHTS / "scales.safetensors")
        mine = [
            {n.split(":")[1]: t for n, t in tensors.items() if n.split(":")[0] == str(scale)}
            for scale in range(len(SIDES))
        ]
        return cls(tuple(Perceptron.of(tensors) for tensors in mine))

    @property
    def drawing_flops(self) -> tuple[float, ...]:
        """What one picture's map at each scale uses."""
        return tuple(self._each(scale).flops or 0.0 for scale in range(len(SIDES)))

    def upper_bound(self, request: Evaluate) -> Usage:
        """Exactly what it will use; of bytes and seconds nothing is known before."""
        return self._each(_scale(request.at)) * len(request.states)

    async def complete(self, requests: Sequence[Evaluate]) -> list[Evaluated]:
        """Log-probabilities of the next maps."""
        return [await evaluate_rows(r, self.values, self._each(_scale(r.at))) for r in requests]

    def values(self, states: NDArray[Any], at: float, condition: int) -> Floats:
        """The same, unpaid."""
        if not 0 <= condition < len(THINGS):
            raise BadInput(f"condition {condition} is none of 0 to {len(THINGS) - 1}")
        scale, (n, before, _) = _scale(at), states.shape
        factor = SIDES[scale] // before
        logits = self.nets[scale](surroundings(states, np.full(n, condition)))
        children = logits.reshape(n, before, before, factor, factor, LEVELS)
        maps = children.transpose(0, 1, 3, 2, 4, 5).reshape(n, SIDES[scale], SIDES[scale], LEVELS)
        out: Floats = maps - np.log(np.exp(maps).sum(-1, keepdims=True))
        return out

    def _each(self, scale: int) -> Usage:
        """What one picture's map at `scale` uses; tokens are places of the two maps."""
        before = SIDES[max(scale - 1, 0)] ** 2
        return Usage(
            tokens_in=before if scale else 0,
            tokens_out=SIDES[scale] ** 2,
            flops=before * self.nets[scale].flops,
            usd=0,
            tool_calls=0,
        )

    async def aclose(self) -> None:
        """Nothing to give back."""


def surroundings(maps: NDArray[Any], conditions: NDArray[Any]) -> Floats:
    """(n * side * side, ...): levels around each place one-hot, one more for off the map, and what
    is to be drawn (n,) one-hot."""
    n, side, _ = maps.shape
    window = 2 * REACH + 1
    padded = np.pad(maps, ((0, 0), (REACH, REACH), (REACH, REACH)), constant_values=LEVELS)
    seen = np.lib.stride_tricks.sliding_window_view(padded, (window, window), axis=(1, 2))
    levels = np.eye(LEVELS + 1, dtype=np.float32)[seen.reshape(n * side * side, window * window)]
    asked = np.eye(len(THINGS), dtype=np.float32)[np.repeat(conditions, side * side)]
    flat = levels.reshape(len(levels), window * window * (LEVELS + 1))
    return np.concatenate((flat, asked), axis=1)


def _scale(at: float) -> int:
    if at not in range(len(SIDES)):
        raise BadInput(f"scale {at} is none of 0 to {len(SIDES) - 1}")
    return int(at)
