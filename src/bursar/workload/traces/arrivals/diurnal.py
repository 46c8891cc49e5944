"""Arrivals whose rate follows the time of day; second 0 is midnight.

A Poisson process at the peak rate is thinned: a candidate at time t stays with probability
rate(t) / peak (Lewis and Shedler, "Simulation of nonhomogeneous Poisson processes by thinning",
1979).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bursar.errors import BadInput
from bursar.workload.traces.arrivals.poisson import Poisson
from bursar.workload.traces.rules import Floats, positive

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


@dataclass(frozen=True, slots=True)
class Sinusoidal:
    """A rate that swings once a day: rate_per_s x (1 + swing x cos(2 pi (t - peak) / day)).

    swing       from 0, no swing, to 1, nothing comes in the quietest moment
    peak_hour   the hour of the day at which the most comes
    """

    rate_per_s: float
    swing: float
    peak_hour: float = 14.0

    def __post_init__(self) -> None:
        positive(self.rate_per_s, "rate_per_s")
        if not 0 <= self.swing <= 1:
            raise BadInput(f"swing is {self.swing}, must lie between 0 and 1")
        if not np.isfinite(self.peak_hour):
            raise BadInput(f"peak_hour is {self.peak_hour}, must be an hour of the day")

    def rate_at(self, time_s: Floats) -> Floats:
        """Arrivals per second at each time; same shape."""
        phase = 2 * np.pi * (time_s - self.peak_hour * HOUR_S) / DAY_S
        return self.rate_per_s * (1 + self.swing * np.cos(phase))

    def times(self, duration_s: float, rng: np.random.Generator) -> Floats:
        """See `Arrivals.times`."""
        return _thinned(self.rate_at, self.rate_per_s * (1 + self.swing), duration_s, rng)


@dataclass(frozen=True, slots=True)
class Hourly:
    """A rate per second for each hour, constant within it; after the last comes the first."""

    rates_per_s: tuple[float, ...]

    def __post_init__(self) -> None:
        rates = np.asarray(self.rates_per_s)
        if not rates.size or not np.all((rates >= 0) & (rates < np.inf)) or not rates.any():
            raise BadInput(
                f"hourly rates {self.rates_per_s} must be finite, zero or more, and not all zero"
            )

    @property
    def rate_per_s(self) -> float:
        """The mean of the hours."""
        return float(np.mean(self.rates_per_s))

    def rate_at(self, time_s: Floats) -> Floats:
        """Arrivals per second at each time; same shape."""
        hour = (time_s // HOUR_S).astype(np.int64) % len(self.rates_per_s)
        return np.asarray(self.rates_per_s, dtype=np.float64)[hour]

    def times(self, duration_s: float, rng: np.random.Generator) -> Floats:
        """See `Arrivals.times`."""
        return _thinned(self.rate_at, max(self.rates_per_s), duration_s, rng)


def _thinned(
    rate_at: Callable[[Floats], Floats],
    peak_per_s: float,
    duration_s: float,
    rng: np.random.Generator,
) -> Floats:
    candidates = Poisson(peak_per_s).times(duration_s, rng)
    return candidates[rng.random(len(candidates)) * peak_per_s < rate_at(candidates)]
