"""Power law: the distance to the ceiling falls as N^-b, F(N) = F_max (1 - (1 - first) N^-b)."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from bursar.errors import BadInput
from bursar.value.base import Floats, check_spend
from bursar.value.fitting import FittedCurve


@dataclass(frozen=True)
class PowerLaw(FittedCurve):
    """Value of `spend` >= 1 units; below one unit it is linear from 0 (no spend, no value).

    `ceiling` is F_max in [0, 1], `first` the share of it that one unit buys, `exponent` b > 0.
    """

    ceiling: float
    first: float
    exponent: float

    def __post_init__(self) -> None:
        if not (0 <= self.ceiling <= 1 and 0 <= self.first <= 1 and self.exponent > 0):
            raise BadInput(
                "ceiling and first must lie in [0, 1] and exponent above 0, "
                f"got {self.ceiling}, {self.first}, {self.exponent}"
            )

    def value(self, spend: ArrayLike) -> Floats:
        """F at each spend."""
        return _power(self.ceiling, self.first, self.exponent, check_spend(spend))

    def marginal(self, spend: ArrayLike) -> Floats:
        """dF/dN at each spend."""
        amount = check_spend(spend)
        above = (1 - self.first) * self.exponent * np.maximum(amount, 1) ** (-self.exponent - 1)
        slope: Floats = self.ceiling * np.where(amount < 1, self.first, above)
        return slope

    @staticmethod
    def curve(free: Floats, spend: Floats) -> Floats:
        """Free parameters: logit F_max, logit first, log b."""
        return _power(float(expit(free[0])), float(expit(free[1])), float(np.exp(free[2])), spend)

    @staticmethod
    def start(spend: Floats, share: Floats) -> Floats:
        """The ceiling just above the best point, a usual exponent."""
        ceiling = min(0.98, share.max() * 1.1)
        return np.array([logit(ceiling), logit(min(0.95, share[0] / ceiling)), np.log(0.7)])

    @classmethod
    def from_free(cls, free: Floats, draws: Floats) -> Self:
        """From logit F_max, logit first, log b."""
        parameters = float(expit(free[0])), float(expit(free[1])), float(np.exp(free[2]))
        return cls(*parameters, draws=draws)


def _power(ceiling: float, first: float, exponent: float, spend: Floats) -> Floats:
    above = 1 - (1 - first) * np.maximum(spend, 1) ** -exponent
    share: Floats = ceiling * np.where(spend < 1, first * spend, above)
    return share
