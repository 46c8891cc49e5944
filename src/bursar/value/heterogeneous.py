"""Heterogeneous returns: names the shape of a noisy budget-return curve and stops at its peak.

Paper: Bryan E. Tuck, Rakesh M. Verma, "Orthographic Constraint Satisfaction and Human Difficulty
    Alignment in Large Language Models", 2025, arXiv:2511.21086; thinking-budget sensitivity: more
    thinking raises strong models, leaves others where they are, makes some worse.
Symbols: thinking budget -> spend; F1 -> value.
Differs: the paper measures and names no fitter. Here shapes are least-squares regressions under an
    order (D. J. Bartholomew, "A test of homogeneity for ordered alternatives", 1959); the shape is
    the simplest one that the data do not refute, by refits to draws from it.
Checked: tests/papers/test_heterogeneous.py: rising, flat, falling and peaked curves are named
    right at least 9 times of 10; the planned spend is worth nearly what the peak is, and more than
    spending everything; the built-in model's rounds of revision rise on Countdown, not on chains.
Seed: 74
"""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from bursar.errors import BadInput
from bursar.value.base import Floats, check_spend

Shape = Literal["flat", "rising", "falling", "peaked"]


@dataclass(frozen=True, slots=True)
class Returns:
    """A budget-return curve: straight in log(1 + spend) between fitted points, level outside.

    `spend` (points,) ascending; `level` (points,) the fitted value at each; `shape` its name.
    """

    shape: Shape
    spend: Floats
    level: Floats

    @classmethod
    def fit(
        cls,
        spend: ArrayLike,
        value: ArrayLike,
        error: ArrayLike,
        *,
        doubt: float = 0.03,
        draws: int = 400,
        seed: int = 0,
    ) -> Self:
        """From `value` at different `spend` with standard errors `error`, all (points,).

        The error of a share of n right answers is sqrt(share (1 - share) / n). `doubt`: the chance
        of refusing a simpler shape that is true. Raises `BadInput` on fewer than three points,
        equal spends, or errors that are not above 0.
        """
        at, seen, noise = _checked(spend, value, error)
        weight, rng = 1 / noise**2, np.random.default_rng(seed)
        fits = {name: _fitted(name, seen[None], weight)[0] for name in _SHAPES}
        misfit = {name: float((seen - level) ** 2 @ weight) for name, level in fits.items()}

        def refuted(name: Shape) -> bool:
            """Whether `peaked`, which holds every shape, fits better than under `name` it would."""
            again = fits[name] + noise * rng.standard_normal((draws, len(at)))
            simple, free = (again - _fitted(s, again, weight) for s in (name, "peaked"))
            drops = (simple**2 - free**2) @ weight
            reached = int(np.sum(drops >= misfit[name] - misfit["peaked"]))
            return (reached + 1) / (draws + 1) < doubt

        one_way: Shape = "rising" if misfit["rising"] <= misfit["falling"] else "falling"
        order: tuple[Shape, ...] = ("flat", one_way)
        shape: Shape = next((name for name in order if not refuted(name)), "peaked")
        return cls(shape, at, fits[shape])

    def value(self, spend: ArrayLike) -> Floats:
        """Fitted value at each spend; same shape as `spend`."""
        amount = np.log1p(check_spend(spend))
        value: Floats = np.interp(amount, np.log1p(self.spend), self.level)
        return value

    def best_spend(self, limit: float, price: float = 0.0) -> float:
        """The least of the fitted spends within `limit` at which value - `price` x spend is most.

        A flat or falling curve is given its least spend, a peaked one its peak, a rising one what
        still buys more than `price` per unit. Raises `BadInput` when `limit` is below every spend.
        """
        afforded = self.spend <= limit
        if not afforded.any():
            raise BadInput(
                f"limit {limit:g} is below the least spend that was measured, {self.spend[0]:g}"
            )
        worth = np.round(self.level - price * self.spend, 12)[afforded]
        return float(self.spend[int(np.argmax(worth))])


_SHAPES: tuple[Shape, ...] = ("flat", "rising", "falling", "peaked")


def _fitted(shape: Shape, values: Floats, weight: Floats) -> Floats:
    """Weighted least squares to each row of `values` (rows, points) under an order."""
    if shape == "flat":
        mean: Floats = np.repeat((values @ weight / weight.sum())[:, None], len(weight), axis=1)
        return mean
    if shape == "rising":
        return _rising(values, weight)
    if shape == "falling":
        return _rising(values[:, ::-1], weight[::-1])[:, ::-1]
    best, least = values, np.full(len(values), np.inf)
    for top in range(1, len(weight) + 1):  # rising up to here, falling from here on
        sides = [_rising(values[:, :top], weight[:top])]
        if top < len(weight):
            sides.append(_rising(values[:, : top - 1 : -1], weight[: top - 1 : -1])[:, ::-1])
        level = np.concatenate(sides, axis=1)
        misfit = (values - level) ** 2 @ weight
        best = np.where((misfit < least)[:, None], level, best)
        least = np.minimum(misfit, least)
    return best


def _rising(values: Floats, weight: Floats) -> Floats:
    """Isotonic regression by its min-max formula: max over j <= i of min over k >= i of the mean
    of points j to k."""
    points = len(weight)
    sums = np.cumsum(np.pad(values * weight, ((0, 0), (1, 0))), axis=1)
    total = np.cumsum(np.pad(weight, (1, 0)))
    first, last = np.arange(points)[:, None], np.arange(1, points + 1)[None]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (sums[:, last] - sums[:, first]) / (total[last] - total[first])
    mean = np.where(last > first, mean, np.inf)  # (rows, j, k)
    least = np.minimum.accumulate(mean[:, :, ::-1], axis=2)[:, :, ::-1]
    reachable = np.where(first <= np.arange(points)[None], least, -np.inf)
    level: Floats = reachable.max(axis=1)
    return level


def _checked(spend: ArrayLike, value: ArrayLike, error: ArrayLike) -> tuple[Floats, Floats, Floats]:
    at, seen, noise = np.broadcast_arrays(
        check_spend(spend), np.asarray(value, dtype=float), np.asarray(error, dtype=float)
    )
    if at.ndim != 1 or len(at) < 3 or len(np.unique(at)) < len(at):
        raise BadInput(f"a shape needs three or more different spends, got {at}")
    if not (np.all(np.isfinite(seen)) and np.all(np.isfinite(noise)) and np.all(noise > 0)):
        raise BadInput("values must be finite and standard errors above 0")
    order = np.argsort(at)
    return at[order], seen[order], noise[order]
