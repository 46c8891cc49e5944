"""Scaling by what is the case now: not at all, or until replicas are as full as wanted."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bursar.errors import BadInput
from bursar.policies.routing import wanted_tokens
from bursar.policies.scaling.base import ScalingState
from bursar.price import Price


@dataclass(frozen=True, slots=True)
class Fixed:
    """As many as there are."""

    def decide(self, state: ScalingState, now: float, price: Price) -> int:
        """See `Scaler.decide`."""
        return state.size


@dataclass(frozen=True, slots=True)
class TargetLoad:
    """So many that jobs hold or wait for a share `target` of the KV cache.

    Within `tolerance` of it, as a share, nothing changes. What Kubernetes' horizontal autoscaler
    does with a metric of one's own.
    """

    target: float = 0.5
    tolerance: float = 0.1

    def __post_init__(self) -> None:
        if not self.target > 0:
            raise BadInput(f"target = {self.target}; must be above 0, a share of the KV cache")

    def decide(self, state: ScalingState, now: float, price: Price) -> int:
        """See `Scaler.decide`."""
        replica = state.replicas[0]
        each = self.target * replica.blocks * replica.block_tokens
        wanted = sum(wanted_tokens(one) for one in state.replicas) / each
        if abs(wanted - state.size) <= self.tolerance * state.size:
            return state.size
        return math.ceil(wanted)
