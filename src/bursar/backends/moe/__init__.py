"""The built-in mixture of experts: `MixtureOfExperts.load(MOE_WEIGHTS / "tiny-moe")`, in NumPy."""

from bursar.backends.moe.cached import CachedExperts
from bursar.backends.moe.model import MOE_WEIGHTS, Expert, Mix, MixtureOfExperts, MoeConfig, Pass
from bursar.backends.moe.nested import NestedExperts, NestedMatrix

__all__ = [
    "MOE_WEIGHTS",
    "CachedExperts",
    "Expert",
    "Mix",
    "MixtureOfExperts",
    "MoeConfig",
    "NestedExperts",
    "NestedMatrix",
    "Pass",
]
