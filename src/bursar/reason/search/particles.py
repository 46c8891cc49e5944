"""Particle filtering: partial solutions are resampled by their rewards, step by step.

Paper: Puri et al., "A Probabilistic Inference Approach to Inference-Time Scaling of LLMs using
  Particle-Based Monte Carlo Methods", 2025, arXiv:2502.01618; algorithm 1.
Symbols: N -> width; softmax of rewards -> weights; what ended stays a particle, resampled too.
Differs: systematic resampling (less noise than multinomial, as unbiased); the weight is the logit
  of the score over `temperature`; a solution that was found counts, also once resampled away.
Checked: tests/papers/test_step_search.py: beats best-of-N at equal tokens on simulated
  trees, also with a judge that is half noise.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from bursar.reason.base import Pick
from bursar.reason.search.tree import Growth, Moves, Node, weighted


@dataclass(frozen=True, slots=True)
class Particles:
    """`width` particles."""

    width: int
    temperature: float = 1.0

    def grow(self, root: Node, rng: np.random.Generator) -> Growth:
        particles = yield Moves([(root, self.width)])
        while any(not p.ended for p in particles):
            drawn = Counter(self._resample(particles, rng))
            stay = [p for p, times in drawn.items() if p.ended for _ in range(times)]
            going = [(p, times) for p, times in drawn.items() if not p.ended]
            if not going:
                return
            particles = stay + (yield Moves(going))

    def pick(self, ended: Sequence[Node]) -> Pick:
        return weighted(ended)

    def _resample(self, particles: Sequence[Node], rng: np.random.Generator) -> list[Node]:
        values = np.clip([p.value for p in particles], 1e-9, 1 - 1e-9)
        weights = softmax(np.log(values / (1 - values)) / self.temperature)
        marks = (rng.random() + np.arange(self.width)) / self.width
        places = np.searchsorted(np.cumsum(weights), marks).clip(max=len(particles) - 1)
        return [particles[i] for i in places]
