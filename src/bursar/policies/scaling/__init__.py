"""How many replicas a fleet has: `SCALING[name]()` makes a policy. All are pure."""

from collections.abc import Callable

from bursar.policies.scaling.base import RECENT, Scaler, ScalingState
from bursar.policies.scaling.by_load import Fixed, TargetLoad
from bursar.policies.scaling.by_queueing import WorthTheRent

SCALING: dict[str, Callable[[], Scaler]] = {
    "fixed": Fixed,
    "target_load": TargetLoad,
    "worth_the_rent": WorthTheRent,
}
"""Name -> what makes the policy with its usual settings."""

__all__ = [
    "RECENT",
    "SCALING",
    "Fixed",
    "Scaler",
    "ScalingState",
    "TargetLoad",
    "WorthTheRent",
]
