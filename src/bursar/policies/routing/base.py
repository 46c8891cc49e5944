"""What a router is: it sends each arriving request to a replica. Routers are pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bursar.policies.batching import BatchState, Job
from bursar.price import Price


class FleetState(Protocol):
    """What a fleet shows to a router: its replicas that take requests."""

    @property
    def size(self) -> int:
        """Replicas."""
        ...

    @property
    def routed(self) -> int:
        """Requests that have been routed before this one."""
        ...

    @property
    def jobs(self) -> Sequence[int]:
        """Jobs in each replica, waiting or running."""
        ...

    @property
    def replicas(self) -> Sequence[BatchState]:
        """The replicas themselves, as they stand now; slower to ask for than `jobs`."""
        ...

    @property
    def arriving(self) -> Job:
        """The request to be routed."""
        ...


class Router(Protocol):
    """Sends each request to a replica."""

    def decide(self, state: FleetState, now: float, price: Price) -> int:
        """The replica, below `state.size`, that the request arriving `now` (seconds) joins."""
        ...


def wanted_tokens(replica: BatchState) -> int:
    """Tokens of KV cache that a replica's jobs hold or wait for."""
    held = (replica.blocks - replica.free_blocks) * replica.block_tokens
    return held + sum(job.target for job in replica.waiting)
