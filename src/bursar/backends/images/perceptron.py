"""A small perceptron in NumPy, and how a noise level and a prompt go into it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bursar.backends.images.base import Floats

FREQUENCIES = np.float32(np.pi) * 2.0 ** np.arange(4, dtype=np.float32)
"""Of the sines and cosines that stand for a noise level in [0, 1]."""


@dataclass(frozen=True, slots=True, eq=False)
class Perceptron:
    """Linear layers with SiLU between them."""

    layers: tuple[tuple[Floats, Floats], ...]
    """(inputs, outputs) and (outputs,) of each layer."""

    @classmethod
    def of(cls, tensors: Mapping[str, NDArray[Any]]) -> "Perceptron":
        """From PyTorch's names, `0.weight` (outputs, inputs), `0.bias`, `2.weight` and so on."""
        numbers = sorted({int(name.split(".")[0]) for name in tensors})
        return cls(
            tuple(
                (
                    np.ascontiguousarray(tensors[f"{i}.weight"].T, dtype=np.float32),
                    tensors[f"{i}.bias"].astype(np.float32),
                )
                for i in numbers
            )
        )

    @property
    def flops(self) -> float:
        """Of one row: a multiplication and an addition per weight."""
        return 2.0 * sum(weight.size for weight, _ in self.layers)

    def __call__(self, x: Floats) -> Floats:
        """(n, inputs) -> (n, outputs)."""
        for weight, bias in self.layers[:-1]:
            x = x @ weight + bias
            x = x / (1 + np.exp(-x))
        weight, bias = self.layers[-1]
        out: Floats = x @ weight + bias
        return out


def features(noise: Floats, conditions: NDArray[np.integer[Any]], prompts: int) -> Floats:
    """(n, 9 + prompts): noise levels (n,) as waves and as they are, conditions (n,) one-hot."""
    angles = noise[:, None] * FREQUENCIES
    one_hot = np.eye(prompts, dtype=np.float32)[conditions]
    parts = (np.sin(angles), np.cos(angles), noise[:, None], one_hot)
    return np.concatenate(parts, axis=1, dtype=np.float32)
