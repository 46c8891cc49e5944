"""Sigmoid in log-spend: R(C) = R_0 + (A - R_0) / (1 + (C_mid / C)^B).

The form that ScaleRL (arXiv:2510.13786) fits to reinforcement-learning compute; here it describes
accuracy against any spend. Symbols: A -> ceiling; R_0 -> floor; C_mid -> half; B -> steepness.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from bursar.errors import BadInput
from bursar.value.base import Floats, check_spend
from bursar.value.fitting import FittedCurve


@dataclass(frozen=True)
class Sigmoid(FittedCurve):
    """`floor` at no spend, `ceiling` in the limit, half of the gain at `half`."""

    ceiling: float
    floor: float
    half: float
    steepness: float

    def __post_init__(self) -> None:
        if not (0 <= self.floor <= self.ceiling <= 1 and self.half > 0 and self.steepness > 0):
            raise BadInput(
                "need 0 <= floor <= ceiling <= 1 with half and steepness above 0, got "
                f"{self.floor}, {self.ceiling}, {self.half}, {self.steepness}"
            )

    def value(self, spend: ArrayLike) -> Floats:
        """R at each spend."""
        gain = expit(self.steepness * (_log(check_spend(spend)) - np.log(self.half)))
        share: Floats = self.floor + (self.ceiling - self.floor) * gain
        return share

    def marginal(self, spend: ArrayLike) -> Floats:
        """dR/dC at each spend; infinite at 0 when `steepness` < 1."""
        amount = check_spend(spend)
        gain = expit(self.steepness * (_log(amount) - np.log(self.half)))
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = (self.ceiling - self.floor) * self.steepness * gain * (1 - gain) / amount
        if self.steepness == 1:
            at_zero = (self.ceiling - self.floor) / self.half
        else:
            at_zero = np.inf if self.steepness < 1 else 0.0
        filled: Floats = np.where(amount == 0, at_zero, slope)
        return filled

    @staticmethod
    def curve(free: Floats, spend: Floats) -> Floats:
        """Free parameters: logit A, logit (R_0 / A), log C_mid, log B."""
        ceiling, steepness = expit(free[0]), np.exp(np.clip(free[3], -4, 4))
        floor = ceiling * expit(free[1])
        share: Floats = floor + (ceiling - floor) * expit(steepness * (_log(spend) - free[2]))
        return share

    @staticmethod
    def start(spend: Floats, share: Floats) -> Floats:
        """The ceiling just above the best point, half way up at the middle point."""
        ceiling = min(0.97, share.max() * 1.05)
        middle = np.log(np.median(spend[spend > 0])) if np.any(spend > 0) else 0.0
        return np.array([logit(ceiling), logit(min(0.9, share[0] / 2 / ceiling)), middle, 0.0])

    @classmethod
    def from_free(cls, free: Floats, draws: Floats) -> Self:
        """From logit A, logit (R_0 / A), log C_mid, log B."""
        ceiling = float(expit(free[0]))
        steepness = float(np.exp(np.clip(free[3], -4, 4)))
        floor = ceiling * float(expit(free[1]))
        return cls(ceiling, floor, float(np.exp(free[2])), steepness, draws=draws)


def _log(spend: Floats) -> Floats:
    """log, with -inf at 0: the sigmoid of it is 0."""
    with np.errstate(divide="ignore"):
        logged: Floats = np.log(spend)
    return logged
