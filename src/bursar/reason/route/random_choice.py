"""Random choice: the baseline that knows prices and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bursar.backends.draws import uniforms
from bursar.value.base import Floats
from bursar.value.outcomes import Outcomes


@dataclass(frozen=True, slots=True)
class RandomChoice:
    """Values are Gumbel noise, so that value less price x cost picks way w with a chance in
    proportion to exp(-price x cost of w): the most random choice there is at its mean cost."""

    seed: int = 0
    ways: int = 0

    def fit(self, seen: Outcomes) -> RandomChoice:
        return RandomChoice(self.seed, len(seen.ways))

    def estimate(self, prompts: Sequence[str]) -> Floats:
        """(prompts, ways) noise, fixed by the seed, the prompt and the way."""
        draws = [[uniforms(self.seed, p, w)[0] for w in range(self.ways)] for p in prompts]
        noise: Floats = -np.log(-np.log(np.array(draws)))
        return noise
