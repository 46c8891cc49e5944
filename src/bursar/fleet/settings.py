"""How the instances of a chosen fleet batch: chunk size, most jobs and policy, searched simulated.

Settings that can't carry the traffic by a bound of the steady state, or that the simulation of a
higher limit shows to change nothing, are not simulated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bursar.cost.endtoend import Pool, Served, latencies
from bursar.cost.request import decode_steps
from bursar.cost.step import step_arrays
from bursar.fleet.capacity import BATCHES, Goal
from bursar.fleet.mix import MixResult
from bursar.fleet.planned import FleetPlan
from bursar.policies.batching import BATCHING, BatchPolicy, SarathiServe
from bursar.simulate import Simulation

CHUNKS = (512, 1024, 2048, 4096, 8192)
MOST_JOBS = (256, 512, 128, 64)
"""The usual one first: where it was never reached, others above what was change nothing."""
POLICIES = {"vllm": ("vllm",), "sglang": ("sarathi", "prefill_first")}
"""What an engine can be told to do; the first is planned with."""
USUAL = ("sarathi",)
"""For the other engines."""
BETTER = 0.99
"""A setting must be below this part of what the one planned with has, to be worth a change."""


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """A policy with its limits, by its name in `BATCHING`."""

    name: str
    policy: BatchPolicy

    @property
    def limits(self) -> dict[str, int]:
        """Those of max_tokens and max_jobs that the policy has."""
        found: dict[str, Any] = {
            name: getattr(self.policy, name, None) for name in ("max_tokens", "max_jobs")
        }
        return {name: limit for name, limit in found.items() if limit is not None}


@dataclass(frozen=True, slots=True, eq=False)
class Tried:
    """A setting on the fleet, and what a stretch of the traffic met."""

    setting: Setting
    simulated: MixResult
    attainment: float
    cost: float
    """Of `cost_of`, to be small; infinite where the goal was missed."""


def families(engine: str | None) -> tuple[str, ...]:
    """The policies that an engine can be told to run."""
    return POLICIES.get(engine or "", USUAL)


def settings(names: Sequence[str]) -> list[Setting]:
    """Every limit of every policy, of jobs in the order of `MOST_JOBS`."""
    found = []
    for name in names:
        policy: Any = BATCHING[name]()
        own = {field.name for field in fields(policy)}
        for tokens in CHUNKS if "max_tokens" in own else (None,):
            for jobs in MOST_JOBS if "max_jobs" in own else (None,):
                limits = {"max_tokens": tokens, "max_jobs": jobs}
                given = {k: limit for k, limit in limits.items() if limit is not None}
                found.append(Setting(name, replace(policy, **given)))
    return found


def tried_settings(
    plan: FleetPlan, offers: Sequence[Setting], goal: Goal, share: float, objective: str
) -> tuple[list[Tried], int]:
    """What each of `offers` does on the plan's fleet, best first; how many were excluded."""
    found: list[Tried] = []
    excluded, peak, before = 0, np.inf, None
    for setting in offers:
        jobs = setting.limits.get("max_jobs", np.inf)
        same = (setting.name, setting.limits.get("max_tokens"))
        if (same == before and peak <= jobs) or not _sustained(plan, setting):
            excluded += 1
            continue
        simulated = plan.again([c.deployment for c in plan.instances], setting.policy)
        peak, before = _peak(simulated), same
        peak = peak if peak <= jobs else np.inf
        met, cost = simulated.attainment(goal), cost_of(simulated, goal, share, objective)
        found.append(Tried(setting, simulated, met, cost))
    return sorted(found, key=lambda one: one.cost), excluded


def cost_of(simulated: MixResult, goal: Goal, share: float, objective: str) -> float:
    """How near the goal is, as a share of it, at the `share` of requests that must be within.

    For another objective the mean seconds to the last token, or joules a request, where the goal
    is met; for a goal of nothing the first of them.
    """
    ratios = [
        _quantile(seconds, share) / most
        for seconds, most in ((simulated.ttft_s, goal.ttft_s), (simulated.tpot_s, goal.tpot_s))
        if most is not None
    ]
    if not np.isfinite(simulated.e2e_s).all() or simulated.attainment(goal) < share:
        return np.inf
    if objective == "energy":
        used = [part.usage.joules for part in simulated.parts if part is not None]
        return float(sum(np.inf if x is None else x for x in used) / len(simulated.e2e_s))
    if objective == "latency" or not ratios:
        return float(np.mean(simulated.e2e_s))
    return max(ratios)


def predicted(plan: FleetPlan) -> tuple[float, float] | None:
    """Mean seconds to the first token and between tokens, from the steady state at the plan's rate.

    Requests of mean lengths, as many in flight as Little's law asks for, and no queues. None
    without instances.
    """
    arrival, weights, found = plan.trace.arrival_s, [], []
    span = float(arrival[-1] - arrival[0]) if len(arrival) else 0.0
    for index, (one, count) in enumerate(zip(plan.instances, plan.looked, strict=True)):
        rows = np.flatnonzero(plan.place == index)
        if not len(rows) or not count or not span:
            continue
        prompt = float(np.mean(plan.trace.input_tokens[rows]))
        out = max(float(np.mean(plan.trace.output_tokens[rows])), 2.0)
        first, between, _ = latencies(Served(Pool(one.deployment), BATCHES, prompt, out))
        rate = np.maximum.accumulate(BATCHES / (first + (out - 1) * between))
        own = len(rows) / span / count
        found.append((np.interp(own, rate, first), np.interp(own, rate, between)))
        weights.append(len(rows))
    if not found:
        return None
    mean = np.average(np.array(found), axis=0, weights=weights)
    return float(mean[0]), float(mean[1])


def _sustained(plan: FleetPlan, setting: Setting) -> bool:
    """Whether no bound forbids it: a chunk a step, and jobs in flight by Little's law."""
    arrival, limits = plan.trace.arrival_s, setting.limits
    span = float(arrival[-1] - arrival[0]) if len(arrival) else 0.0
    for index, (one, count) in enumerate(zip(plan.instances, plan.looked, strict=True)):
        rows = np.flatnonzero(plan.place == index)
        if len(rows) < 2 or not count or not span:
            continue
        prompts = plan.trace.input_tokens[rows].astype(np.float64)
        outs = plan.trace.output_tokens[rows].astype(np.float64)
        rate, place = len(rows) / span / count, one.deployment
        if isinstance(setting.policy, SarathiServe):
            tokens = limits["max_tokens"]
            step = float(step_arrays(place, float(tokens), 0.0).seconds) / place.pp
            if rate * float(np.mean(prompts)) > tokens / step:
                return False
        if jobs := limits.get("max_jobs"):
            alone = float(decode_steps(place, prompts.mean(), 2.0, 1.0, prompts.mean()).seconds)
            if rate * float(np.mean(outs - 1)) * alone > jobs:
                return False
    return True


def _peak(simulated: MixResult) -> float:
    """The most requests that any replica had at once, waiting ones included."""
    return max((_peak_of(part) for part in simulated.parts if part is not None), default=0)


def _peak_of(part: Simulation) -> int:
    most = 0
    for replica in range(int(part.replica.max()) + 1):
        rows = part.replica == replica
        begins = np.sort(part.trace.arrival_s[rows])
        ends = np.sort(part.finished_s[rows])
        there = np.arange(1, len(begins) + 1) - np.searchsorted(ends, begins, side="left")
        most = max(most, int(there.max(initial=0)))
    return most


def _quantile(seconds: NDArray[np.float64], share: float) -> float:
    known = seconds[np.isfinite(seconds)]
    return float(np.quantile(known, share)) if len(known) else 0.0
