"""Outcomes: what several ways to answer did on the same questions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bursar.errors import BadInput
from bursar.value.base import Floats, Ints


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Questions by ways: what each way's answer was worth, what it cost, how sure it looked.

    `right` (questions, ways) in [0, 1]; `cost` (questions, ways) in one resource; `sign`
    (questions, ways) is what the answer shows of its own quality (agreement, likelihood, a
    score): larger is better, NaN where nothing is shown.
    """

    ways: tuple[str, ...]
    prompts: tuple[str, ...]
    right: Floats
    cost: Floats
    sign: Floats

    def __post_init__(self) -> None:
        shape = (len(self.prompts), len(self.ways))
        for name in ("right", "cost", "sign"):
            if getattr(self, name).shape != shape:
                raise BadInput(
                    f"outcomes: {name} has shape {getattr(self, name).shape}; with {shape[0]} "
                    f"prompts and {shape[1]} ways it must be {shape}"
                )
        if 0 in shape or not (np.all(self.cost >= 0) and np.all(np.isfinite(self.cost))):
            raise BadInput("outcomes need a question, a way, and costs that are finite and >= 0")
        if not np.all((self.right >= 0) & (self.right <= 1)):
            raise BadInput("outcomes: right must lie in [0, 1], 1 for a right answer")

    def rows(self, index: Ints) -> Outcomes:
        """These questions alone."""
        prompts = tuple(self.prompts[i] for i in index)
        return Outcomes(
            self.ways, prompts, self.right[index], self.cost[index], self.sign[index]
        )  # fmt: skip

    def split(self, rng: np.random.Generator, share: float = 0.5) -> tuple[Outcomes, Outcomes]:
        """To learn from, a random `share` of the questions, and the rest to be judged on."""
        order = rng.permutation(len(self.prompts))
        first = round(share * len(order))
        return self.rows(order[:first]), self.rows(order[first:])
