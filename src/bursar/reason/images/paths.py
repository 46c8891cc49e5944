"""The way from noise to a point along a flow: its clean estimates, its steps, plain and stochastic.

On straight lines x_t = (1 - t) x_0 + t noise, a velocity v gives the clean point expected,
x_t - t v, and the noise expected, x_t + (1 - t) v.
"""

import numpy as np

from bursar.backends.images.base import Floats

LINEAR, VP = "linear", "vp"
POINT = np.zeros((1, 2), np.float32)
"""What one state looks like, to ask what an evaluation costs."""


def levels(steps: int, interpolant: str) -> Floats:
    """(steps + 1,) noise levels from 1 to 0.

    "linear": evenly in t. "vp": evenly in the angle of the variance-preserving interpolant
    cos(a) x_0 + sin(a) noise, at the t of equal signal to noise, t = sin / (sin + cos). A flow
    model needs no more than that to run on the other interpolant: the two differ by a factor.
    """
    along = np.linspace(1.0, 0.0, steps + 1)
    if interpolant == LINEAR:
        return np.asarray(along, np.float32)
    sine, cosine = np.sin(along * np.pi / 2), np.cos(along * np.pi / 2)
    return np.asarray(sine / (sine + cosine), np.float32)


def expected(x: Floats, t: float, velocity: Floats) -> Floats:
    """The clean points that x_t (n, 2) are expected to become (Tweedie's formula)."""
    return np.asarray(x - t * velocity, np.float32)


def step(
    x: Floats, t: float, to: float, velocity: Floats, churn: float, noise: Floats | None = None
) -> Floats:
    """x_t -> x_to, t > to: the ODE's step at `churn` 0, the SDE's at 1, with `noise` (n, 2).

    Both have the flow's marginals. The noise put back is `churn` times the standard deviation of
    x_to given x_t and x_0, to/t sqrt(t^2 - to^2 ((1 - t) / (1 - to))^2): the ancestral step of
    DDPM, which does not change when states are scaled, so that it is the same on the linear and
    on the variance-preserving interpolant.
    """
    clean, seen = x - t * velocity, x + (1 - t) * velocity
    if noise is None or churn == 0:
        return np.asarray((1 - to) * clean + to * seen, np.float32)
    shrunk = (1 - t) / (1 - to) * to
    back = min(to, churn * to / t * (t * t - shrunk * shrunk) ** 0.5)
    kept = (to * to - back * back) ** 0.5
    return np.asarray((1 - to) * clean + kept * seen + back * noise, np.float32)
