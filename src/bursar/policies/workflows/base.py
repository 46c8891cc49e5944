"""What a scheduler of workflows is: it sends each call to an instance, with a rank there.

A query runs in stages; all calls of a stage are made at once, when the stage before is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from bursar.price import Price


class Lengths(NamedTuple):
    """Tokens of a call: of its prompt, and of the answer that is expected."""

    prompt: float
    answer: float


@dataclass(frozen=True, slots=True)
class Call:
    """One call as a scheduler may see it: lengths that are usual for such calls, not its own.

    `later` has the longest call of each stage after this one.
    """

    expected: Lengths
    later: tuple[Lengths, ...]
    due_s: float
    """When the whole query must be done."""


class Dispatch(NamedTuple):
    """Where a call goes, and its rank in the queue there: smaller goes first."""

    instance: int
    priority: int = 0


class WorkflowState(Protocol):
    """What a fleet of unlike instances shows to a scheduler."""

    @property
    def size(self) -> int:
        """Instances."""
        ...

    @property
    def dispatched(self) -> int:
        """Calls that have been sent before this one."""
        ...

    def call_seconds(self, instance: int, lengths: Lengths) -> float:
        """How long such a call takes on an instance in its usual company, without waiting."""
        ...

    def queued_seconds(self, instance: int) -> float:
        """How long an instance would take for all calls that it has, each as expected."""
        ...


class WorkflowPolicy(Protocol):
    """Schedules calls as they become ready."""

    def decide(self, state: WorkflowState, call: Call, now: float, price: Price) -> Dispatch:
        """Where the call that is ready `now` (seconds) goes. Pure."""
        ...


@dataclass(frozen=True, slots=True)
class RoundRobinCalls:
    """One instance after the other; queues in order of arrival."""

    def decide(self, state: WorkflowState, call: Call, now: float, price: Price) -> Dispatch:
        """See `WorkflowPolicy.decide`."""
        return Dispatch(state.dispatched % state.size)
