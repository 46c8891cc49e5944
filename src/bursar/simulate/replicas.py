"""Replicas side by side: arrivals are routed, and each replica moves when its own plan ends."""

from __future__ import annotations

import math
from collections.abc import Iterable
from heapq import heappop, heappush

from bursar.errors import BadInput, Infeasible
from bursar.policies.batching import BatchPolicy, Job
from bursar.policies.routing import Router
from bursar.price import Price
from bursar.simulate.outcomes import Outcomes
from bursar.simulate.replica import Replica
from bursar.simulate.server import Server


class Replicas:
    """`size` replicas of a server with one queue each; a `FleetState`. The caller keeps time.

    Raises `BadInput` when there is none.
    """

    def __init__(
        self,
        size: int,
        server: Server,
        policy: BatchPolicy,
        router: Router,
        price: Price,
        outcomes: Outcomes | None = None,
    ) -> None:
        if size < 1:
            raise BadInput(f"replicas = {size}; must be 1 or more")
        self.size, self.server, self.routed = size, server, 0
        self.outcomes = outcomes or Outcomes()
        self.all = [Replica(server, policy, price, self.outcomes) for _ in range(size)]
        self._router, self._price = router, price
        self.capacity_tokens = server.blocks * server.block_tokens
        self._due: list[tuple[float, int]] = []
        """(end of a plan, replica); an entry is out of date when the plan's end has changed."""

    @property
    def jobs(self) -> list[int]:
        """See `FleetState`."""
        return [len(one.waiting) + len(one.running) for one in self.all]

    def next_end(self) -> float:
        """When the next plan ends (seconds); infinity when all replicas wait."""
        due, replicas = self._due, self.all
        while due:
            end, place = due[0]
            if replicas[place].end == end:
                return end
            heappop(due)
        return math.inf

    def advance(self) -> None:
        """Carry out the plan that ends next; `next_end` has been asked and was finite."""
        place = heappop(self._due)[1]
        replica = self.all[place]
        replica.advance()
        if replica.end < math.inf:
            heappush(self._due, (replica.end, place))

    def submit(self, job: Job) -> bool:
        """A request arrives, no later than `next_end`; its output is among the outcomes.

        False: rejected, because prompt and answer need more KV cache than a replica has. The last
        token is never cached.
        """
        if job.prompt + self.outcomes.outputs[job.index] - 1 > self.capacity_tokens:
            return False
        place = self._router.decide(self, job.arrived, self._price)
        replica = self.all[place]
        before = replica.end
        replica.arrive(job, job.arrived)
        if replica.end != before:
            heappush(self._due, (replica.end, place))
        self.outcomes.replica[job.index] = place
        self.routed += 1
        return True

    def play(self, jobs: Iterable[Job]) -> None:
        """Requests arrive in order of time, and all that fit are served.

        Raises `Infeasible` when the batching policy never runs some of them.
        """
        for job in jobs:
            while self.next_end() < job.arrived:  # at the same time arrivals come first
                self.advance()
            self.submit(job)
        while self.next_end() < math.inf:
            self.advance()
        self.require_done()

    def require_done(self) -> None:
        """Raises `Infeasible` when requests wait that the policy will never run."""
        if left := sum(self.jobs):
            raise Infeasible(
                f"the batching policy leaves {left} of {self.routed} requests waiting for ever; "
                "give it larger limits, or the server more KV cache"
            )
