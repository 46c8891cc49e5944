"""How much of a device prompts get, and how much decodes, while both run: `PARTITIONING[name]`."""

from collections.abc import Callable

from bursar.cost.shared_device import SharedDevice
from bursar.policies.partitioning.base import (
    LaneDecision,
    LanePolicy,
    LaneState,
    ShortestFirst,
    Work,
)
from bursar.policies.partitioning.nexus import Nexus, Predicted
from bursar.policies.partitioning.reactive import Reactive

PARTITIONING: dict[str, Callable[[SharedDevice], LanePolicy]] = {
    "reactive": lambda device: Reactive(),
    "nexus": Nexus,
}
"""Name -> what makes the policy for a device, with its usual settings."""

__all__ = [
    "PARTITIONING",
    "LaneDecision",
    "LanePolicy",
    "LaneState",
    "Nexus",
    "Predicted",
    "Reactive",
    "ShortestFirst",
    "Work",
]
