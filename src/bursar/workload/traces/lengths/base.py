"""What a distribution of lengths is, and how to cap one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from bursar.errors import BadInput
from bursar.workload.traces.rules import Ints


@runtime_checkable
class Lengths(Protocol):
    """How long prompts and answers are, together: long prompts may have short answers."""

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Input and output tokens of `count` requests, each (count,) and at least 1."""
        ...


@dataclass(frozen=True, slots=True)
class Capped:
    """Lengths cut off at a cap, as a server cuts at its longest context; None is no cap."""

    lengths: Lengths
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_input_tokens", "max_output_tokens"):
            cap = getattr(self, name)
            if cap is not None and cap < 1:
                raise BadInput(f"{name} is {cap}, must be 1 or more; or leave it out")

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """See `Lengths.draw`."""
        inputs, outputs = self.lengths.draw(count, rng)
        return (
            np.minimum(inputs, self.max_input_tokens or inputs),
            np.minimum(outputs, self.max_output_tokens or outputs),
        )
