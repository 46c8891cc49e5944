"""Small models that draw, in NumPy: a flow of points in the plane, pictures scale by scale."""

from bursar.backends.images.base import Evaluate, Evaluated, Sampler
from bursar.backends.images.points import IMAGE_WEIGHTS, PROMPTS, PointModel
from bursar.backends.images.scales import LEVELS, SIDES, THINGS, NextScale

__all__ = [
    "IMAGE_WEIGHTS",
    "LEVELS",
    "PROMPTS",
    "SIDES",
    "THINGS",
    "Evaluate",
    "Evaluated",
    "NextScale",
    "PointModel",
    "Sampler",
]
