"""How sure a plan is: predictions err by a factor, and the simulator says how much slack there is.

All times of a deployment are taken to be off by one common factor, log-normal, of which the
calibration's interval encloses 80 %.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from scipy.stats import norm

from bursar.cost.deployment import Deployment

_EIGHTY = float(norm.ppf(0.9))
_MOST, _STEPS = 4.0, 6
_SECONDS = ("first_seconds", "routed_seconds", "handling_seconds", "transfer_seconds")


def log_spread(place: Deployment) -> float:
    """Standard deviation of the logarithm of the factor, as for times between tokens."""
    low, high = place.interval("fitted", "aggregated", "tpot")
    return float(np.log(high / low) / (2 * _EIGHTY))


def slower(place: Deployment, factor: float) -> Deployment:
    """The deployment if everything took `factor` times as long."""
    now = place.law
    law = replace(
        now,
        **{name: factor * getattr(now, name) for name in _SECONDS},
        step_factor=factor * now.step_factor,
    )
    return replace(place, calibration=replace(place.calibration, law={"any": law}))


def chance(met: Callable[[float], bool], spread: float) -> float:
    """P(the goal is met): `met(factor)` says whether it is when all takes `factor` times as long.

    The largest such factor is searched between 1 / 4 and 4, by bisection of its logarithm.
    """
    low, high = -np.log(_MOST), np.log(_MOST)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if met(float(np.exp(middle))) else (low, middle)
    return float(norm.cdf((low + high) / 2 / spread))


def worth_measuring(usd_per_hour: Mapping[str, float], spread: float) -> dict[str, float]:
    """Device -> dollars an hour that knowing its true speed would save, on average.

    `usd_per_hour`: the cheapest fleet of each device alone. A fleet's cost is taken to go with the
    factor f: measuring the cheapest, the gain is E max(0, f c - next); any other, E max(0, best -
    f c), f log-normal with mean 1.
    """
    names = sorted(usd_per_hour, key=lambda name: usd_per_hour[name])
    if len(names) < 2:
        return dict.fromkeys(names, 0.0)
    best, second = usd_per_hour[names[0]], usd_per_hour[names[1]]
    found = {names[0]: _above(best, second, spread)}
    for name in names[1:]:
        own = usd_per_hour[name]
        found[name] = _above(own, best, spread) - (own - best)  # put from call: parity
    return found


def _above(mean: float, level: float, spread: float) -> float:
    """E max(0, x - level) for log-normal x of this mean."""
    edge = (np.log(mean / level) + spread**2 / 2) / spread
    return float(mean * norm.cdf(edge) - level * norm.cdf(edge - spread))
