"""What a migration policy is: it says which running jobs go from which replica to which. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from bursar.policies.batching import BatchState, Job
from bursar.price import Price


class Move(NamedTuple):
    """A decoding job goes from one replica to another, with its cache."""

    job: Job
    source: int
    target: int


class MigrationState(Protocol):
    """What a fleet shows to a migration policy."""

    @property
    def replicas(self) -> Sequence[BatchState]:
        """All that run jobs, those that drain among them."""
        ...

    @property
    def draining(self) -> Sequence[bool]:
        """Whether each replica is to become empty, and takes nothing."""
        ...

    @property
    def moving(self) -> Sequence[bool]:
        """Whether a job is on its way from or to each replica already."""
        ...


class MigrationPolicy(Protocol):
    """Decides who moves."""

    def decide(self, state: MigrationState, now: float, price: Price) -> Sequence[Move]:
        """Moves to begin now, at most one from or to a replica that has none under way."""
        ...
