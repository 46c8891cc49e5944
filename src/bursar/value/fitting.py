"""What fitted curves share: the fit (least squares or likelihood) and the bootstrap interval."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import least_squares
from scipy.special import xlogy

from bursar.errors import BadInput
from bursar.value.base import Floats, Ints, check_level, check_spend

_NONE = np.empty((0, 0))
_FAR = 15.0


@dataclass(frozen=True)
class FittedCurve(ABC):
    """A `ValueCurve` with free parameters: numbers on the whole real line, (P,)."""

    draws: Floats = field(default_factory=lambda: _NONE, repr=False, compare=False, kw_only=True)
    """Free parameters of the bootstrap's refits, (draws, P); empty when not fitted."""

    @staticmethod
    @abstractmethod
    def curve(free: Floats, spend: Floats) -> Floats:
        """Value at `spend` under the free parameters."""

    @staticmethod
    @abstractmethod
    def start(spend: Floats, share: Floats) -> Floats:
        """Free parameters to start from; `spend` ascending, `share` in (0, 1)."""

    @classmethod
    @abstractmethod
    def from_free(cls, free: Floats, draws: Floats) -> Self:
        """The curve with these free parameters."""

    @abstractmethod
    def value(self, spend: ArrayLike) -> Floats:
        """Value at each spend."""

    @abstractmethod
    def marginal(self, spend: ArrayLike) -> Floats:
        """d value / d spend at each spend."""

    def interval(self, spend: ArrayLike, level: float = 0.9) -> tuple[Floats, Floats]:
        """Ends of the central `level` of the refitted curves at each spend."""
        at, central = check_spend(spend), check_level(level)
        if not len(self.draws):
            raise BadInput("a curve with given parameters has no interval: make it with fit()")
        curves = np.array([self.curve(row, at) for row in self.draws])
        low, high = np.quantile(curves, [(1 - central) / 2, (1 + central) / 2], axis=0)
        return low, high

    @classmethod
    def fit(
        cls,
        spend: ArrayLike,
        value: ArrayLike,
        *,
        trials: ArrayLike | None = None,
        draws: int = 200,
        seed: int = 0,
    ) -> Self:
        """See `ValueCurve.fit`.

        The refits resample questions when `value` is (questions, points); draw binomial counts at
        the fitted curve when `trials` are given; else resample residuals.
        """
        at, seen, tried = _checked(spend, value, trials)
        mean = seen.mean(axis=0)
        order = np.argsort(at, kind="stable")
        first = cls.start(at[order], np.clip(mean[order], 0.01, 0.95))
        if len(np.unique(at)) < len(first):
            raise BadInput(
                f"{cls.__name__} has {len(first)} parameters and needs as many different spends, "
                f"got {len(np.unique(at))}"
            )
        best = cls._best(first, at, mean, tried)
        rng = np.random.default_rng(seed)
        again = _resampled(seen, cls.curve(best, at), tried, len(first), draws, rng)
        refits = np.array([cls._best(best, at, row, tried) for row in again])
        return cls.from_free(best, refits.reshape(draws, len(first)))

    @classmethod
    def _best(cls, start: Floats, at: Floats, mean: Floats, tried: Ints | None) -> Floats:
        # the clip keeps a flat direction (a rate of 0, a ceiling of 1) from running off
        def residual(free: Floats) -> Floats:
            fitted = cls.curve(np.clip(free, -_FAR, _FAR), at)
            if tried is None:
                return fitted - mean
            # squared deviance residuals sum to the deviance: least squares is max. likelihood
            share = np.clip(fitted, 1e-12, 1 - 1e-12)
            gap = xlogy(mean, mean / share) + xlogy(1 - mean, (1 - mean) / (1 - share))
            deviance: Floats = np.sign(share - mean) * np.sqrt(2 * tried * np.maximum(gap, 0))
            return deviance

        found = least_squares(residual, start, method="lm", ftol=1e-6, xtol=1e-6, max_nfev=200)
        best: Floats = np.clip(found.x, -_FAR, _FAR)
        return best


def _resampled(
    seen: Floats,
    fitted: Floats,
    tried: Ints | None,
    parameters: int,
    draws: int,
    rng: np.random.Generator,
) -> Floats:
    """What might have been seen instead of the mean of `seen`, (draws, points)."""
    questions, points = seen.shape
    if questions > 1:
        # multinomial weights are the same as picking questions with replacement
        weight = rng.multinomial(questions, np.full(questions, 1 / questions), size=draws)
        again: Floats = weight @ seen / questions
    elif tried is not None:
        again = rng.binomial(tried, np.clip(fitted, 0, 1), size=(draws, points)) / tried
    else:
        # a fit leaves residuals smaller than the noise: give back the parameters' share
        noise = (seen[0] - fitted) * np.sqrt(points / max(1, points - parameters))
        again = fitted + rng.choice(noise, size=(draws, points))
    return again


def _checked(
    spend: ArrayLike, value: ArrayLike, trials: ArrayLike | None
) -> tuple[Floats, Floats, Ints | None]:
    at, seen = check_spend(spend), np.atleast_2d(np.asarray(value, dtype=float))
    if at.ndim != 1 or seen.ndim != 2 or seen.shape[1] != len(at):
        raise BadInput(
            f"value must be (points,) or (questions, points) for {at.size} points, "
            f"got shape {np.shape(value)}"
        )
    if not np.all(np.isfinite(seen)):
        raise BadInput("value must be finite: leave out the points that were not measured")
    if trials is None:
        return at, seen, None
    tried = np.broadcast_to(np.asarray(trials, dtype=np.int64), at.shape)
    if len(seen) > 1 or np.any(tried <= 0) or np.any((seen < 0) | (seen > 1)):
        raise BadInput(
            "trials must be above 0, with one row of values that are shares between 0 and 1"
        )
    return at, seen, tried
