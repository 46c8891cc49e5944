"""Pictures that are points in the plane: a flow that draws them, and learned judges of them.

The flow says the velocity v of flow matching on straight lines x_t = (1 - t) x_0 + t noise, and so
at once what the clean point is expected to be, x_t - t v, and the noise, x_t + (1 - t) v.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from bursar.backends.images.base import Evaluate, Evaluated, Floats, evaluate_rows
from bursar.backends.images.perceptron import Perceptron, features
from bursar.errors import BadInput
from bursar.usage import Usage

IMAGE_WEIGHTS = Path(__file__).parent / "weights"

PROMPTS = ("ring", "moons", "spiral", "board")
"""What a point can be asked to lie on; `Evaluate.condition` is its number here."""


@dataclass(frozen=True, slots=True, eq=False)
class PointModel:
    """A perceptron that is told the noise level t (`Evaluate.at`, 1: noise, 0: clean) and prompt.

    | name | states | values |
    |---|---|---|
    | flow | (n, 2) points at noise level t | (n, 2) velocities |
    | clean | (n, 4) clean points and goals | (n, 1) minus their distance, as learned |
    | noise-aware | (n, 4) clean points expected at t, goals | (n, 1) the same of what comes out |
    """

    net: Perceptron
    name: str

    @classmethod
    def load(cls, name: str = "flow", folder: Path = IMAGE_WEIGHTS) -> "PointModel":
        """The built-in model of this name; raises `BadInput` when there is none."""
        tensors = load_file(folder / "points.safetensors")
        mine = {k.split(":")[1]: t for k, t in tensors.items() if k.split(":")[0] == name}
        if not mine:
            known = ", ".join(sorted({k.split(":")[0] for k in tensors}))
            raise BadInput(f"no model of points called {name!r}; choose one of {known}")
        return cls(Perceptron.of(mine), name)

    def upper_bound(self, request: Evaluate) -> Usage:
        """Exactly what it will use; of bytes and seconds nothing is known before."""
        return self._each * len(request.states)

    async def complete(self, requests: Sequence[Evaluate]) -> list[Evaluated]:
        """Values as in the table above."""
        return [await evaluate_rows(r, self.values, self._each) for r in requests]

    def values(self, states: NDArray[Any], t: float, prompt: int) -> Floats:
        """The same, unpaid: for those who train and test."""
        if not 0 <= prompt < len(PROMPTS):
            raise BadInput(f"prompt {prompt} is none of 0 to {len(PROMPTS) - 1}, {PROMPTS}")
        rows = len(states)
        told = features(np.full(rows, t, np.float32), np.full(rows, prompt), len(PROMPTS))
        return self.net(np.concatenate((states, told), axis=1, dtype=np.float32))

    @property
    def _each(self) -> Usage:
        return Usage(tokens_in=0, tokens_out=0, flops=self.net.flops, usd=0, tool_calls=0)

    async def aclose(self) -> None:
        """Nothing to give back."""
