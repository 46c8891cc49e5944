"""Sarathi-Serve (arXiv:2403.02310): chunked prefills keep the tail of the time between tokens."""

import numpy as np

from bursar import catalog
from bursar.cost import Deployment
from bursar.policies.batching import BatchPolicy, PrefillFirst, SarathiServe
from bursar.simulate import Simulation, server_of, simulate
from bursar.workload.traces import Trace

SERVER = server_of(Deployment(catalog.model("mistral-7b"), catalog.device("a100")), max_jobs=128)
GOAL_SECONDS = 0.1
"""The paper's strict goal for the 99th percentile of the time between tokens of this model."""
PATIENCE_SECONDS = 2.0
"""The paper's bound on the median time in the queue: beyond it a load is not sustained."""


def chats(rate: float, requests: int = 500) -> Trace:
    """Lengths with the medians and 90th percentiles of the paper's chat set (its table 2)."""
    rng = np.random.default_rng(7)
    prompt = np.minimum(rng.lognormal(np.log(1730), 0.93, requests), 16_000)
    answer = rng.lognormal(np.log(415), 0.545, requests)
    return Trace(np.cumsum(rng.exponential(1 / rate, requests)), np.ceil(prompt), np.ceil(answer))


def sustained(run: Simulation) -> bool:
    tail = run.gaps.quantile(0.99)
    queued = np.median(run.admitted_s - run.trace.arrival_s)
    return tail is not None and tail <= GOAL_SECONDS and bool(queued <= PATIENCE_SECONDS)


def capacity(policy: BatchPolicy) -> float:
    """The highest rate (requests a second, steps of 12 %) up to which all loads are sustained."""
    best = 0.0
    for rate in np.geomspace(0.5, 6.0, 23):
        if not sustained(simulate(chats(float(rate)), SERVER, policy)):
            break
        best = float(rate)
    return best


def test_the_goal_is_kept_at_loads_where_prefill_first_breaks_it() -> None:
    stalling, chunked = capacity(PrefillFirst(128)), capacity(SarathiServe(128, max_tokens=512))
    assert stalling > 0
    assert chunked >= 1.5 * stalling


def test_short_prompts_stall_nobody() -> None:
    """Control: decodes wait for long prompts; without them prefill-first does as well."""
    long = chats(4.0)
    short = Trace(long.arrival_s, np.minimum(long.input_tokens, 32), long.output_tokens)
    assert not sustained(simulate(long, SERVER, PrefillFirst(128)))
    assert sustained(simulate(short, SERVER, PrefillFirst(128)))
    assert sustained(simulate(short, SERVER, SarathiServe(128, max_tokens=512)))


def test_too_small_a_budget_costs_throughput() -> None:
    """130 tokens leave 2 for prompts when 128 jobs decode; beyond 512 there is little to gain."""
    offline = Trace(np.zeros(500), chats(1.0).input_tokens, chats(1.0).output_tokens)
    seconds = {
        budget: simulate(offline, SERVER, SarathiServe(128, max_tokens=budget)).finished_s.max()
        for budget in (130, 512, 2048)
    }
    assert seconds[130] > 1.15 * seconds[512]
    assert seconds[2048] > 0.95 * seconds[512]
    small, enough = (capacity(SarathiServe(128, max_tokens=budget)) for budget in (160, 512))
    assert enough > 1.2 * small
