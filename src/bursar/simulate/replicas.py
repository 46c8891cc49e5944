"""Replicas side by side: arrivals are routed, and each replica moves when its own plan ends."""

from __future__ import annotations

import math
from collections.abc import Iterable
from heapq import heappop, heappush

from bursar.errors import BadInput, Infeasible
from bursar.policies.batching import BatchPolicy, Job
from bursar.policies.routing import Router
from bursar.price import Price
from bursar.simulate.fleet_replica import FleetReplica
from bursar.simulate.outcomes import Outcomes
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
        self.server, self.routed, self.now = server, 0, 0.0
        self.outcomes = outcomes or Outcomes()
        self.all: list[FleetReplica] = []
        self.rented: list[tuple[float, float]] = []
        """(from, until) of each replica, in seconds; infinity: it is still rented."""
        self._policy, self._router, self.price = policy, router, price
        self.open = [self.rent() for _ in range(size)]
        """Places in `all` of those that take requests."""
        self.draining: list[int] = []
        """Of those that will be given back when they are empty."""
        self.arrivals: list[float] = []
        """When each request came (seconds), for controls to read."""
        self.capacity_tokens = server.blocks * server.block_tokens
        self._due: list[tuple[float, int]] = []
        """(end of a plan, replica); an entry is out of date when the plan's end has changed."""

    @property
    def size(self) -> int:
        """See `FleetState`."""
        return len(self.open)

    @property
    def jobs(self) -> list[int]:
        """See `FleetState`."""
        replicas = [self.all[place] for place in self.open]
        return [len(one.waiting) + len(one.running) for one in replicas]

    @property
    def replicas(self) -> list[FleetReplica]:
        """See `FleetState`."""
        return [self.present(place) for place in self.open]

    def present(self, place: int) -> FleetReplica:
        """A replica as it stands now, the steps of its plan that are over carried out."""
        self.all[place].catch_up(self.now)
        return self.all[place]

    def rent(self) -> int:
        """One more replica, from now on, which takes no requests yet; returns its place."""
        replica = FleetReplica(self.server, self._policy, self.price, self.outcomes)
        replica.now = self.now
        self.all.append(replica)
        self.rented.append((self.now, math.inf))
        return len(self.all) - 1

    def give_back(self, place: int, at: float) -> None:
        """Rent a replica until `at`, now or earlier; it has had no requests since."""
        self.all[place].close(at)
        self.rented[place] = (self.rented[place][0], at)

    def drain(self, place: int) -> None:
        """Open no longer: those who wait and have never run go elsewhere, the others stay."""
        self.open.remove(place)
        replica = self.all[place]
        for job in [job for job in replica.waiting if not job.generated]:
            replica.withdraw(job, self.now)
            self.route(job)
        self.changed(place)
        if replica.waiting or replica.running:
            self.draining.append(place)
        else:
            self.give_back(place, self.now)

    def give_back_drained(self) -> None:
        """Those that are empty by now were rented until they became so."""
        for place in self.draining[:]:
            replica = self.all[place]
            if not (replica.waiting or replica.running or replica.free_blocks < replica.blocks):
                self.draining.remove(place)
                self.give_back(place, replica.now)

    def close(self, until: float) -> None:
        """Nothing comes any more, and what is still rented is given back at `until`."""
        self.give_back_drained()
        for place, span in enumerate(self.rented):
            if span[1] == math.inf:
                self.give_back(place, until)

    def changed(self, place: int) -> None:
        """To be called when a replica's plan now ends at another time."""
        if (end := self.all[place].end) < math.inf:
            heappush(self._due, (end, place))

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
        self.now, place = heappop(self._due)
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
        self.now = job.arrived
        self.route(job)
        self.routed += 1
        return True

    def route(self, job: Job) -> None:
        """A request joins a replica now: one that has just arrived, or was withdrawn."""
        self.arriving = job
        job.target = job.prompt + job.generated
        place = self.open[self._router.decide(self, self.now, self.price)]
        replica = self.all[place]
        before = replica.end
        replica.arrive(job, self.now)
        if replica.end != before:
            heappush(self._due, (replica.end, place))
        self.outcomes.replica[job.index] = place

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
        if left := sum(len(one.waiting) + len(one.running) for one in self.all):
            raise Infeasible(
                f"the batching policy leaves {left} of {self.routed} requests waiting for ever; "
                "give it larger limits, or the server more KV cache"
            )
