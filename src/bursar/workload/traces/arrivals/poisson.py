"""Poisson arrivals: each request comes on its own, whatever came before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bursar.workload.traces.rules import Floats, positive


@dataclass(frozen=True, slots=True)
class Poisson:
    """`rate_per_s` requests per second; times between arrivals have a CV of 1."""

    rate_per_s: float

    def __post_init__(self) -> None:
        positive(self.rate_per_s, "rate_per_s")

    def times(self, duration_s: float, rng: np.random.Generator) -> Floats:
        """See `Arrivals.times`. Given their number, Poisson arrivals are uniform."""
        count = rng.poisson(self.rate_per_s * positive(duration_s, "duration_s"))
        return np.sort(rng.uniform(0, duration_s, count))
