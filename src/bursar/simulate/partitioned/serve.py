"""Prompts and decodes at once on one device: `simulate_partitioned` serves a trace."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bursar.cost import Deployment
from bursar.cost.shared_device import SharedDevice, shared_device
from bursar.errors import Infeasible
from bursar.policies.partitioning import LanePolicy
from bursar.price import Price
from bursar.simulate.entering import jobs
from bursar.simulate.gaps import Gaps
from bursar.simulate.outcomes import Outcomes
from bursar.simulate.partitioned.engine import TwoLanes
from bursar.simulate.partitioned.lane import LaneStep
from bursar.simulate.series import Floats
from bursar.simulate.server import Server
from bursar.workload.traces import Trace


@dataclass(frozen=True, slots=True, eq=False)
class PartitionedRun:
    """What came of a trace; columns have a row per request, NaN where it was rejected."""

    trace: Trace
    first_token_s: Floats
    finished_s: Floats
    gaps: Gaps
    steps: list[LaneStep]
    preemptions: int

    @property
    def ttft_s(self) -> Floats:
        """(n,) time to the first token."""
        return self.first_token_s - self.trace.arrival_s


def simulate_partitioned(
    trace: Trace,
    deployment: Deployment,
    server: Server,
    policy: LanePolicy,
    *,
    device: SharedDevice | None = None,
    price: Price | None = None,
) -> PartitionedRun:
    """Serve a whole trace; `server` says how much KV cache there is.

    `device` is by default the deployment's at the rates its efficiency says. Raises `BadInput` for
    `pp` or `dp` above 1, `Infeasible` when a policy leaves requests waiting for ever.
    """
    outcomes = Outcomes()
    lanes = TwoLanes(
        deployment, server, policy, device or shared_device(deployment), price or Price(), outcomes
    )
    for job in jobs(trace, server, outcomes):
        lanes.run_until(job.arrived)
        lanes.arrive(job)
    lanes.run_until(math.inf)
    if left := len(lanes.waiting) + lanes.jobs:
        raise Infeasible(f"the policy leaves {left} of {len(trace)} requests waiting for ever")
    return PartitionedRun(
        trace,
        np.array(outcomes.first_token),
        np.array(outcomes.finished),
        lanes.gaps,
        lanes.steps,
        sum(outcomes.preemptions),
    )
