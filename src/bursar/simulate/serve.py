"""Serving on virtual time: a trace, whose requests come when they come, or users who wait."""

from __future__ import annotations

import math
from collections.abc import Sequence
from heapq import heappop, heappush

import numpy as np

from bursar.errors import BadInput, Infeasible
from bursar.policies.batching import BatchPolicy, Job
from bursar.policies.routing import RoundRobin, Router
from bursar.price import Price
from bursar.simulate.controls import Control, play
from bursar.simulate.entering import jobs
from bursar.simulate.replicas import Replicas
from bursar.simulate.server import Server
from bursar.simulate.simulation import Simulation
from bursar.workload.traces import ClosedLoop, Trace, Turn


def simulate(
    trace: Trace,
    server: Server,
    policy: BatchPolicy,
    *,
    replicas: int = 1,
    router: Router | None = None,
    controls: Sequence[Control] = (),
    price: Price | None = None,
) -> Simulation:
    """Serve a whole trace with `replicas` of a server; the clock starts at its second 0.

    Without a router requests go to the replicas in turn. A request is rejected on arrival when its
    prompt and answer together need more KV cache than a replica has. `controls` act on the fleet
    meanwhile: they rent and give back replicas, move jobs, cap power. Raises `BadInput` without a
    replica and for controls of a server that swaps, `Infeasible` when a policy leaves requests
    waiting for ever.
    """
    if controls and server.host is not None:
        raise BadInput("controls don't know caches on the host: leave out the controls or `host`")
    fleet = Replicas(replicas, server, policy, router or RoundRobin(), price or Price())
    entering = jobs(trace, server, fleet.outcomes)
    if controls:
        play(fleet, entering, controls)
    else:
        fleet.play(entering)
    return Simulation.of(trace, [fleet])


def simulate_users(
    users: ClosedLoop,
    server: Server,
    policy: BatchPolicy,
    *,
    replicas: int = 1,
    router: Router | None = None,
    price: Price | None = None,
) -> Simulation:
    """Serve users each of whom asks again only after an answer; all turns, until the last is done.

    The result's trace is what the users came to ask, in order. Raises as `simulate` does, and
    `Infeasible` for a turn that does not fit, since its user would wait for ever.
    """
    fleet = Replicas(replicas, server, policy, router or RoundRobin(), price or Price())
    done, delay = fleet.outcomes.done, server.times.seconds_per_request
    coming = [(turn.arrival_s, turn.user, turn) for turn in users.first()]
    coming.sort()
    asked: list[Turn] = []
    answered = 0
    while coming or fleet.next_end() < math.inf:
        if coming and coming[0][0] + delay <= fleet.next_end():
            turn = heappop(coming)[2]
            asked.append(turn)
            index = fleet.outcomes.add(turn.output_tokens)
            job = Job(index, turn.input_tokens, turn.arrival_s + delay)
            if users.continues:
                job.conversation = turn.user
            if not fleet.submit(job):
                raise Infeasible(
                    f"user {turn.user}'s turn {turn.number} needs "
                    f"{turn.input_tokens + turn.output_tokens} tokens of KV cache; a replica has "
                    f"{server.blocks * server.block_tokens}: shorten it or give more memory"
                )
            continue
        fleet.advance()
        for index in done[answered:]:
            after = users.after(asked[index], fleet.outcomes.finished[index])
            if after is not None:
                heappush(coming, (after.arrival_s, after.user, after))
        answered = len(done)
    fleet.require_done()
    return Simulation.of(_as_trace(asked), [fleet])


def _as_trace(turns: list[Turn]) -> Trace:
    return Trace(
        np.array([turn.arrival_s for turn in turns]),
        np.array([turn.input_tokens for turn in turns]),
        np.array([turn.output_tokens for turn in turns]),
    )
