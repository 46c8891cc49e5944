"""A fleet of several kinds of instance on a trace: requests are divided by kind, then simulated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bursar.cost import Deployment
from bursar.fleet.capacity import Goal
from bursar.policies.batching import BatchPolicy
from bursar.policies.routing import LeastJobs
from bursar.simulate import Simulation, server_of, simulate
from bursar.workload.traces import Trace

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class MixResult:
    """What a trace met on a fleet. Columns have a row per request, NaN where it was not served."""

    ttft_s: Array
    tpot_s: Array
    """NaN for answers of one token too."""
    e2e_s: Array
    parts: tuple[Simulation | None, ...]
    """One per kind of instance; None where no request went."""

    def attainment(self, goal: Goal) -> float:
        """Share of all requests that were served within the goal."""
        good = np.isfinite(self.e2e_s)
        if goal.ttft_s is not None:
            good &= self.ttft_s <= goal.ttft_s
        if goal.tpot_s is not None:
            good &= ~(self.tpot_s > goal.tpot_s)
        return float(np.mean(good))


def divided(of: NDArray[np.int64], shares: Array) -> NDArray[np.int64]:
    """(requests,) which kind of instance each request goes to.

    `of` (requests,) is its kind of request, `shares` (kinds, instances) sum to 1 by row. Within a
    kind, at any moment, each instance has its share of the requests so far to within one.
    """
    place = np.zeros(len(of), dtype=np.int64)
    for kind, share in enumerate(shares):
        rows = np.flatnonzero(of == kind)
        place[rows] = _in_turn(share, len(rows))
    return place


def simulate_mix(
    trace: Trace,
    place: NDArray[np.int64],
    deployments: Sequence[Deployment],
    replicas: Sequence[int],
    policy: BatchPolicy,
) -> MixResult:
    """Serve each request of the trace where `place` (requests,) sends it, `LeastJobs` first."""
    columns = np.full((3, len(trace)), np.nan)
    parts: list[Simulation | None] = []
    for index, (deployment, count) in enumerate(zip(deployments, replicas, strict=True)):
        rows = np.flatnonzero(place == index)
        if not len(rows):
            parts.append(None)
            continue
        part = simulate(
            trace.take(rows), server_of(deployment), policy, replicas=count, router=LeastJobs()
        )
        columns[:, rows] = part.ttft_s, part.tpot_s, part.e2e_s
        parts.append(part)
    ttft, tpot, e2e = columns
    return MixResult(ttft, tpot, e2e, tuple(parts))


def _in_turn(share: Array, count: int) -> NDArray[np.int64]:
    """`count` turns in which option i comes up share[i] of the time, as evenly as can be.

    Option i is due for the k-th time at (k + 1/2) / share[i]; turns are in order of what is due.
    """
    used = np.flatnonzero(share > 0)
    due = [(np.arange(int(share[i] * count) + 2) + 0.5) / share[i] for i in used]
    options = np.repeat(used, [len(times) for times in due])
    return options[np.argsort(np.concatenate(due), kind="stable")[:count]]
