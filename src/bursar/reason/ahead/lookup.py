"""Inverse by lookup: the run of a precomputed set that is most like what was observed.

Paper: Ivan Ezhov et al., "A for-loop is all you need. For solving the inverse problem in the case
    of personalized tumor growth modeling", 2022, arXiv:2205.04550; the query over simulated runs.
Symbols: database of simulations -> RunDatabase; similarity -> MEASURES; ranks -> nearest.
Differs: one dimension of space instead of a brain, the seed's place is a parameter instead of an
    alignment; with `nearest` above 1 the best few are averaged.
Checked: tests/papers/test_inverse_lookup.py: 5,000 runs come within tolerance of tuned MCMC's
    parameter error at a tenth of its online cost and less, error falls with the number of runs,
    and where the offline runs have paid.
Seed: 198
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bursar.budget import Budget
from bursar.errors import BadInput
from bursar.reason.ahead.growth import HIGH, LOW, Floats, Growth, booked, draw_parameters

Clock = Callable[[], float]


def _dice(runs: Floats, observed: Floats) -> Floats:
    """One minus the overlap of the visible regions, mean of two thresholds."""
    total = np.zeros(len(runs))
    for threshold in (0.2, 0.6):
        seen, wanted = runs > threshold, observed > threshold
        sizes = seen.sum(axis=1) + wanted.sum()
        total += 1 - 2 * (seen & wanted).sum(axis=1) / np.maximum(sizes, 1)
    return total / 2


MEASURES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "l2": lambda runs, observed: (runs**2).sum(axis=1) - 2 * runs @ observed,
    "dice": _dice,
}
"""Name -> distance of runs (runs, cells) from what was observed (cells,), up to a constant."""


@dataclass(frozen=True, slots=True, eq=False)
class RunDatabase:
    """Runs made beforehand: `parameters` (runs, 3) and their densities (runs, cells)."""

    parameters: Floats
    densities: Floats

    @classmethod
    def build(
        cls, growth: Growth, runs: int, rng: np.random.Generator, budget: Budget,
        clock: Clock = time.process_time,
    ) -> RunDatabase:  # fmt: skip
        """`runs` draws from the prior, simulated offline and charged to `budget`."""
        if runs < 1:
            raise BadInput(f"a database of {runs} runs answers nothing: make at least one")
        parameters = draw_parameters(rng, runs)
        densities = booked(
            lambda: growth.run(parameters), runs * growth.flops, "database", budget, clock
        )
        return cls(parameters, densities)

    def look_up(
        self, observed: Floats, budget: Budget, *, measure: str = "l2", nearest: int = 5,
        clock: Clock = time.process_time,
    ) -> Floats:  # fmt: skip
        """Parameters (3,): the mean of the `nearest` runs. Charged to `budget`; no run is made."""
        if measure not in MEASURES:
            raise BadInput(f"measure {measure!r} is not known; use one of {', '.join(MEASURES)}")

        def work() -> Floats:
            distance = MEASURES[measure](self.densities, observed)
            best = np.argpartition(distance, min(nearest, len(distance)) - 1)[:nearest]
            found: Floats = self.parameters[best].mean(axis=0)
            return found

        return booked(work, 4.0 * self.densities.size, "lookup", budget, clock)


def metropolis(
    growth: Growth, observed: Floats, noise: float, rng: np.random.Generator, budget: Budget, *,
    sweeps: int = 60, walkers: int = 16, starts: int = 64, clock: Clock = time.process_time,
) -> Floats:  # fmt: skip
    """The baseline: posterior mean (3,) by an ensemble of walkers, starts + sweeps x walkers runs.

    The best of `starts` draws from the prior set out; stretch moves (Goodman and Weare 2010, as in
    emcee), half of the walkers at a time, so that runs advance together; the first half of the
    sweeps is discarded. `noise` is the known standard deviation of each cell.
    """

    if not 4 <= walkers <= starts:
        raise BadInput(f"{walkers} walkers from {starts} starts: need 4 <= walkers <= starts")

    def log_posterior(parameters: Floats) -> Floats:
        misfit = ((growth.run(parameters) - observed) ** 2).sum(axis=1) / noise**2
        inside = np.all((parameters >= LOW) & (parameters <= HIGH), axis=1)
        fit: Floats = np.where(inside, -misfit / 2, -np.inf)
        return fit

    def work() -> Floats:
        drawn = draw_parameters(rng, starts)
        chances = log_posterior(drawn)
        best = np.argsort(-chances, kind="stable")[:walkers]
        place, belief = drawn[best], chances[best]
        kept = []
        halves = np.arange(walkers) < walkers // 2
        for sweep in range(sweeps):
            for moving in (halves, ~halves):
                count = int(moving.sum())
                others = place[~moving][rng.integers(walkers - count, size=count)]
                stretch = (1 + rng.random(count)) ** 2 / 2  # density 1 / sqrt(z) on [1/2, 2]
                proposal = others + stretch[:, None] * (place[moving] - others)
                clipped = np.clip(proposal, LOW, HIGH)  # a run needs stable parameters
                new = np.where((clipped == proposal).all(axis=1), log_posterior(clipped), -np.inf)
                gain = 2 * np.log(stretch) + new - belief[moving]
                taken = np.log(rng.random(count)) < gain
                place[moving] = np.where(taken[:, None], proposal, place[moving])
                belief[moving] = np.where(taken, new, belief[moving])
            if sweep >= sweeps // 2:
                kept.append(place.copy())
        mean: Floats = np.concatenate(kept).mean(axis=0)
        return mean

    runs = starts + sweeps * walkers
    return booked(work, runs * growth.flops, "metropolis", budget, clock)
