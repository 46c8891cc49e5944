"""Saturation: F(N) = F_max (1 - (1 - p)^N), attempts at one rate under a ceiling."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from bursar.errors import BadInput
from bursar.value.base import Floats, check_spend
from bursar.value.fitting import FittedCurve


@dataclass(frozen=True)
class Saturation(FittedCurve):
    """Value of `spend` samples. `ceiling` is F_max in [0, 1], `rate` is p in (0, 1)."""

    ceiling: float
    rate: float

    def __post_init__(self) -> None:
        if not (0 <= self.ceiling <= 1 and 0 < self.rate < 1):
            raise BadInput(
                f"ceiling must lie in [0, 1] and rate in (0, 1), got {self.ceiling}, {self.rate}"
            )

    def value(self, spend: ArrayLike) -> Floats:
        """F at each spend."""
        share: Floats = self.ceiling * -np.expm1(check_spend(spend) * np.log1p(-self.rate))
        return share

    def marginal(self, spend: ArrayLike) -> Floats:
        """dF/dN at each spend."""
        decay = np.log1p(-self.rate)
        slope: Floats = -self.ceiling * decay * np.exp(check_spend(spend) * decay)
        return slope

    @staticmethod
    def curve(free: Floats, spend: Floats) -> Floats:
        """Free parameters: logit F_max, logit p."""
        share: Floats = expit(free[0]) * -np.expm1(-spend * np.logaddexp(0, free[1]))
        return share

    @staticmethod
    def start(spend: Floats, share: Floats) -> Floats:
        """The ceiling just above the best point, the rate from the first."""
        ceiling = min(0.97, share.max() * 1.05)
        rate = 1 - (1 - min(0.9, share[0] / ceiling)) ** (1 / max(1, spend[0]))
        return np.array([logit(ceiling), logit(rate)])

    @classmethod
    def from_free(cls, free: Floats, draws: Floats) -> Self:
        """From logit F_max, logit p."""
        return cls(float(expit(free[0])), float(expit(free[1])), draws=draws)
