"""On/off arrivals: a Poisson process whose rate a two-state Markov chain switches.

The Markov-modulated Poisson process of two states: it stays on and off for exponential times with
the given means, and the rate is constant in between (Fischer and Meier-Hellstern, "The
Markov-modulated Poisson process (MMPP) cookbook", 1993).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bursar.errors import BadInput
from bursar.workload.traces.rules import Floats, positive


@dataclass(frozen=True, slots=True)
class OnOff:
    """`on_rate_per_s` while on, for `on_s` on average; `off_rate_per_s` while off, for `off_s`."""

    on_rate_per_s: float
    on_s: float
    off_s: float
    off_rate_per_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("on_rate_per_s", "on_s", "off_s"):
            positive(getattr(self, name), name)
        if not 0 <= self.off_rate_per_s < np.inf:
            raise BadInput(f"off_rate_per_s is {self.off_rate_per_s}, must be finite, zero or more")

    @property
    def rate_per_s(self) -> float:
        """The rates weighted by how long each state lasts."""
        work = self.on_rate_per_s * self.on_s + self.off_rate_per_s * self.off_s
        return work / (self.on_s + self.off_s)

    def times(self, duration_s: float, rng: np.random.Generator) -> Floats:
        """See `Arrivals.times`. Begins on with the share of time that the process is on."""
        positive(duration_s, "duration_s")
        begins_on = rng.random() < self.on_s / (self.on_s + self.off_s)
        means = (self.on_s, self.off_s) if begins_on else (self.off_s, self.on_s)
        rates = (self.on_rate_per_s, self.off_rate_per_s)
        pairs = int(duration_s / sum(means)) + 8
        ends = np.zeros(1)
        while ends[-1] < duration_s:
            stays = rng.exponential(means, (pairs, 2)).ravel()
            ends = np.concatenate([ends, ends[-1] + np.cumsum(stays)])
        edges = np.minimum(ends, duration_s)
        lasts = np.diff(edges)
        states = np.resize(rates if begins_on else rates[::-1], len(lasts))
        counts = rng.poisson(states * lasts)
        starts, widths = np.repeat(edges[:-1], counts), np.repeat(lasts, counts)
        return np.sort(starts + widths * rng.random(len(starts)))
