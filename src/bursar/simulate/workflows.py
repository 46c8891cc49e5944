"""Queries of several stages on unlike instances, on virtual time.

A stage's calls are made at once, and the next stage when all of them are answered, so that arrivals
depend on how the calls before were scheduled. Each instance is a replica with a queue of its own.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from bursar.errors import BadInput, Infeasible
from bursar.policies.batching import BatchPolicy, Job
from bursar.policies.workflows import Call, HexGenText2Sql, Lengths, WorkflowPolicy
from bursar.price import Price
from bursar.simulate.outcomes import Outcomes
from bursar.simulate.replica import Replica
from bursar.simulate.server import Server

USUAL_JOBS = 8
"""Calls side by side when an instance's speed is estimated."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Calls made together: (prompt, answer) in tokens of each, and what was expected of each."""

    calls: tuple[tuple[int, int], ...]
    expected: tuple[Lengths, ...]

    @property
    def longest(self) -> Lengths:
        """The expected call with the longest answer."""
        return max(self.expected, key=lambda lengths: lengths.answer)


@dataclass(frozen=True, slots=True)
class Query:
    """Comes at `arrival_s` and must be done `within_s` seconds."""

    arrival_s: float
    within_s: float
    stages: tuple[Stage, ...]


class _Fleet:
    """A `WorkflowState` over replicas of unlike servers."""

    def __init__(self, servers: Sequence[Server], batching: BatchPolicy) -> None:
        if not servers:
            raise BadInput("no instance to run workflows on; give at least one")
        self.outcomes, self.servers = Outcomes(), servers
        self.all = [Replica(server, batching, Price(), self.outcomes) for server in servers]
        self.size, self.dispatched = len(servers), 0
        self._queued = [0.0] * self.size
        self._work: list[tuple[int, float]] = []
        """Of each call: where it is, and seconds of that instance's time it is expected to take."""
        self._speeds = [_speeds(server) for server in servers]

    def call_seconds(self, instance: int, lengths: Lengths) -> float:
        prompt, step = self._speeds[instance]
        return prompt * lengths.prompt + step * lengths.answer

    def queued_seconds(self, instance: int) -> float:
        return self._queued[instance]

    def submit(
        self, call: Call, policy: WorkflowPolicy, tokens: tuple[int, int], now: float
    ) -> int:
        """Returns the call's index among the outcomes."""
        chosen = policy.decide(self, call, now, Price())
        server, replica = self.servers[chosen.instance], self.all[chosen.instance]
        prompt, answer = tokens
        if prompt + answer - 1 > server.blocks * server.block_tokens:
            raise Infeasible(
                f"a call of {prompt + answer} tokens does not fit the KV cache of instance "
                f"{chosen.instance} ({server.blocks * server.block_tokens} tokens): leave it out"
            )
        index = self.outcomes.add(answer)
        replica.arrive(Job(index, prompt, now, chosen.priority), now)
        per_prompt, per_step = self._speeds[chosen.instance]
        lengths = call.expected
        work = per_prompt * lengths.prompt + per_step * lengths.answer / USUAL_JOBS
        self._queued[chosen.instance] += work
        self._work.append((chosen.instance, work))
        self.dispatched += 1
        return index

    def settle(self, index: int) -> None:
        """A call is answered."""
        instance, work = self._work[index]
        self._queued[instance] -= work


def simulate_workflows(
    queries: Sequence[Query],
    servers: Sequence[Server],
    policy: WorkflowPolicy,
    batching: BatchPolicy,
) -> NDArray[np.float64]:
    """(queries,) seconds from each query's arrival until its last call is answered.

    Calls can be scheduled at once: a server's `seconds_per_request` is not added.
    Raises `Infeasible` for a call that is larger than its instance's cache, or never run.
    """
    fleet = _Fleet(servers, batching)
    coming = [(query.arrival_s, number, 0) for number, query in enumerate(queries)]
    heapify(coming)
    open_calls, whose = [0] * len(queries), list[tuple[int, int]]()
    took = np.full(len(queries), np.nan)
    answered = 0
    while True:
        end = min(replica.end for replica in fleet.all)
        if coming and coming[0][0] <= end:
            now, number, place = heappop(coming)
            query = queries[number]
            stage, later = query.stages[place], query.stages[place + 1 :]
            ahead = tuple(one.longest for one in later)
            for tokens, expected in zip(stage.calls, stage.expected, strict=True):
                call = Call(expected, ahead, query.arrival_s + query.within_s)
                fleet.submit(call, policy, tokens, now)
                whose.append((number, place))
            open_calls[number] = len(stage.calls)
            continue
        if end == math.inf:
            break
        next(replica for replica in fleet.all if replica.end == end).advance()
        for index in fleet.outcomes.done[answered:]:
            fleet.settle(index)
            number, place = whose[index]
            open_calls[number] -= 1
            if open_calls[number]:
                continue
            at = max(end, fleet.outcomes.finished[index])
            if place + 1 < len(queries[number].stages):
                heappush(coming, (at, number, place + 1))
            else:
                took[number] = at - queries[number].arrival_s
        answered = len(fleet.outcomes.done)
    if np.isnan(took).any():
        raise Infeasible("the batching policy leaves calls waiting for ever; raise its limits")
    return took


def attainment(queries: Sequence[Query], took: NDArray[np.float64]) -> float:
    """Share of the queries that were done in time."""
    return float(np.mean(took <= np.array([query.within_s for query in queries])))


def tuned_load_weight(
    queries: Sequence[Query],
    servers: Sequence[Server],
    batching: BatchPolicy,
    weights: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 0.9),
) -> float:
    """The weight of `HexGenText2Sql` that does best on past queries; then once more around it.

    Best is done in time by most, then by the least mean time.
    """

    def score(weight: float) -> tuple[float, float]:
        took = simulate_workflows(queries, servers, HexGenText2Sql(weight), batching)
        return attainment(queries, took), -float(np.mean(took))

    best = max(weights, key=score)
    half = (max(weights) - min(weights)) / (2 * max(len(weights) - 1, 1))
    around = (max(best - half, 0.0), best, min(best + half, 1.0))
    return max(around, key=score)


def _speeds(server: Server) -> tuple[float, float]:
    """Seconds for a prompt's token, and for an answer's among `USUAL_JOBS` others of its kind."""
    prompt, context = 2000, 2000
    times, classes = server.times, len(server.times.windows) + 1
    empty = [0] * classes
    first, _ = times.step(empty, empty, ((prompt, 0),))
    counts, contexts = list(empty), list(empty)
    place = bisect(times.windows, context)
    counts[place], contexts[place] = USUAL_JOBS, USUAL_JOBS * context
    step, _ = times.step(counts, contexts, ())
    return first / prompt, step
