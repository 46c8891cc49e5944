"""A growth that spreads: u_t = D u_xx + rho u (1 - u) on [0, 1], the model whose inverse is asked.

Parameters of a run, in this order: log10 D, rho, the place of the seed. No flow through the ends.
Many runs advance together, one row each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bursar.budget import Budget
from bursar.errors import BadInput
from bursar.usage import Usage

Floats = NDArray[np.float64]

NAMES = ("log10_diffusion", "rate", "place")
LOW = np.array([-4.0, 3.0, 0.3])
HIGH = np.array([-2.7, 12.0, 0.7])
"""Ends of each parameter's range; the prior is uniform between them."""

_FLOPS_PER_CELL = 9
"""Of one step: four for the diffusion, five for the growth."""


@dataclass(frozen=True, slots=True)
class Growth:
    """`cells` of space, `steps` of explicit Euler up to time 1, seed a bump of `seed_width`."""

    cells: int = 64
    steps: int = 60
    seed_width: float = 0.03

    def __post_init__(self) -> None:
        stable = 2 * 10 ** HIGH[0] * self.cells**2
        if self.cells < 3 or self.steps < stable:
            raise BadInput(
                f"{self.cells} cells with {self.steps} steps is not stable: take 3 cells or more "
                f"and at least {int(np.ceil(stable))} steps"
            )

    @property
    def flops(self) -> float:
        """Of one run."""
        return float(_FLOPS_PER_CELL * self.cells * self.steps)

    def run(self, parameters: Floats) -> Floats:
        """Densities (runs, cells) at time 1 of `parameters` (runs, 3)."""
        spread = 10.0 ** parameters[:, :1] * self.cells**2 / self.steps
        rate = parameters[:, 1:2] / self.steps
        space = (np.arange(self.cells) + 0.5) / self.cells
        u = 0.5 * np.exp(-(((space - parameters[:, 2:3]) / self.seed_width) ** 2) / 2)
        for _ in range(self.steps):
            slope = np.diff(u, axis=1)
            growth = rate * u * (1 - u)
            growth[:, :-1] += spread * slope
            growth[:, 1:] -= spread * slope
            u += growth
        return u


def draw_parameters(rng: np.random.Generator, runs: int) -> Floats:
    """(runs, 3) from the prior."""
    return rng.uniform(LOW, HIGH, (runs, len(LOW)))


def relative_error(found: Floats, truth: Floats) -> float:
    """Mean distance of parameters (..., 3), as a share of each one's range."""
    return float(np.mean(np.abs(found - truth) / (HIGH - LOW)))


def booked(
    work: Callable[[], Floats], flops: float, what: str, budget: Budget, clock: Callable[[], float]
) -> Floats:
    """Does `work` of known `flops` within `budget`, and charges these and the seconds it took.

    Raises `BudgetExceeded` before it starts where the FLOPs do not fit, and `Unbounded` where
    seconds are limited: they can't be bounded beforehand.
    """
    hold = budget.reserve(replace(Usage.zero(), flops=flops, seconds=None), what)
    began = clock()
    done = work()
    hold.settle(replace(Usage.zero(), flops=flops, seconds=clock() - began))
    return done
