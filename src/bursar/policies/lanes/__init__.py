"""Who gets how much of a device on which prompts and decodes run at once."""

from collections.abc import Callable

from bursar.cost.shared_device import SharedDevice
from bursar.policies.lanes.base import LaneDecision, LanePolicy, LaneState, Work, shortest_first
from bursar.policies.lanes.nexus import Nexus, Predicted
from bursar.policies.lanes.reactive import Reactive

LANES: dict[str, Callable[[SharedDevice], LanePolicy]] = {
    "reactive": lambda device: Reactive(),
    "nexus": Nexus,
}
"""Name -> what makes the policy for a device, with its usual settings."""

__all__ = [
    "LANES",
    "LaneDecision",
    "LanePolicy",
    "LaneState",
    "Nexus",
    "Predicted",
    "Reactive",
    "Work",
    "shortest_first",
]
