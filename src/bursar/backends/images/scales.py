"""Small pictures drawn scale by scale: 1x1, 2x2, 4x4, 8x8, each map at once given the one before.

A map holds the brightness of a picture's blocks, their mean in `LEVELS` levels, so that the last
map says all that the ones before it do and is the only one that the next needs to see. Within a
map, brightnesses are drawn independently of each other, as in visual autoregression: that is fast,
and why a drawing can go wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from bursar.backends.images.base import Evaluate, Evaluated, Floats, evaluate_rows
from bursar.backends.images.points import IMAGE_WEIGHTS
from bursar.errors import BadInput
from bursar.usage import Usage

Maps = NDArray[np.int64]

SIDES = (1, 2, 4, 8)
"""Of the maps, by scale; `Evaluate.at` is the number of the scale that is to be drawn."""
LEVELS = 8
"""Brightnesses; a finished picture has only the lowest and the highest."""

THINGS: dict[str, NDArray[np.bool_]] = {
    "square": np.ones((2, 2), bool),
    "lying bar": np.ones((1, 3), bool),
    "standing bar": np.ones((3, 1), bool),
    "cross": np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool),
}
"""What can be asked for; `Evaluate.condition` is its number. A picture shows one to four of it."""


@dataclass(frozen=True, slots=True, eq=False)
class NextScale:
    """A transformer without causal mask over the places of one map.

    States (n, side, side) are levels of the map before (any, (n, 1, 1), for the first scale);
    values are log-probabilities (n, side', side', LEVELS) of the next map's.
    """

    weights: dict[str, Floats]
    heads: int = 4
    name: str = "next-scale"

    @classmethod
    def load(cls) -> "NextScale":
        """The built-in generator."""
        tensors = load_file(IMAGE_WEIGHTS / "scales.safetensors")
        return cls({name: t.astype(np.float32) for name, t in tensors.items()})

    @property
    def width(self) -> int:
        return int(self.weights["place"].shape[1])

    @property
    def layers(self) -> int:
        return 1 + max(int(n.split(".")[1]) for n in self.weights if n.startswith("layers."))

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
        scale, w = _scale(at), self.weights
        n, side = len(states), SIDES[scale]
        first = sum(s * s for s in SIDES[:scale])
        x = w["place"][first : first + side * side] + w["thing"][condition]
        x = np.repeat(x[None], n, axis=0)
        if scale:
            factor = side // SIDES[scale - 1]
            seen = states.repeat(factor, axis=1).repeat(factor, axis=2)
            x = x + w["level"][seen.reshape(n, -1)]
        for layer in range(self.layers):
            x = x + self._attended(_normed(x), f"layers.{layer}.")
            inner = _normed(x) @ w[f"layers.{layer}.up"]
            x = x + (inner / (1 + np.exp(-inner))) @ w[f"layers.{layer}.down"]
        logits = _normed(x) @ w["head"]
        logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
        out: Floats = logits.reshape(n, side, side, LEVELS)
        return out

    def _attended(self, x: Floats, layer: str) -> Floats:
        n, places, width = x.shape
        seen = (x @ self.weights[layer + "qkv"]).reshape(n, places, 3, self.heads, -1)
        q, k, v = seen.transpose(2, 0, 3, 1, 4)
        scores = q @ k.transpose(0, 1, 3, 2) / np.float32((width // self.heads) ** 0.5)
        odds = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (odds / odds.sum(-1, keepdims=True)) @ v
        out: Floats = mixed.transpose(0, 2, 1, 3).reshape(n, places, width)
        return out @ self.weights[layer + "out"]

    def _each(self, scale: int) -> Usage:
        """What one picture's map at `scale` uses."""
        places = SIDES[scale] ** 2
        matrices = sum(w.size for n, w in self.weights.items() if n == "head" or "." in n)
        attention = 4.0 * self.layers * places * self.width
        return Usage(
            tokens_in=SIDES[scale - 1] ** 2 if scale else 0,
            tokens_out=places,
            flops=places * (2.0 * matrices + attention),
            usd=0,
            tool_calls=0,
        )

    async def aclose(self) -> None:
        """Nothing to give back."""


def _scale(at: float) -> int:
    if at not in range(len(SIDES)):
        raise BadInput(f"scale {at} is none of 0 to {len(SIDES) - 1}")
    return int(at)


def _normed(x: Floats) -> Floats:
    out: Floats = x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(1e-6))
    return out
