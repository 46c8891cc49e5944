"""The slow twin of the simulator: one token at a time, everything counted anew at each step.

Shares with `bursar.simulate` only the policies and the step times: what the fast engine plans in
closed form is here a plain loop over jobs.
"""

from bisect import bisect_right
from dataclasses import dataclass, field

import numpy as np
import pytest

from bursar.policies.batching import BatchPolicy, Job
from bursar.price import Price
from bursar.simulate import Server, simulate
from bursar.workload.traces import Trace


@dataclass
class Engine:
    """A `BatchState` that keeps lists of jobs and derives the rest from them."""

    server: Server
    waiting: list[Job] = field(default_factory=list)
    running: dict[int, Job] = field(default_factory=dict)
    made: dict[int, int] = field(default_factory=dict)
    """Tokens of the answer so far, by index."""

    @property
    def blocks(self) -> int:
        return self.server.blocks

    @property
    def block_tokens(self) -> int:
        return self.server.block_tokens

    @property
    def prefilling(self) -> list[Job]:
        return [job for job in self.running.values() if job.computed < job.target]

    @property
    def decoding(self) -> list[Job]:
        return [job for job in self.running.values() if job.computed == job.target]

    def context(self, job: Job) -> int:
        """Cached tokens of a decoding job: all but the last one made."""
        return job.prompt + self.made[job.index] - 1

    def held_blocks(self, job: Job) -> int:
        held = self.context(job) if job.computed == job.target else job.target
        return -(-held // self.block_tokens)

    @property
    def free_blocks(self) -> int:
        free = self.blocks - sum(self.held_blocks(job) for job in self.running.values())
        assert free >= 0, "the KV cache is over its capacity"
        return free

    def grows(self, job: Job) -> bool:
        return job.computed == job.target and self.context(job) % self.block_tokens == 0

    @property
    def growth_blocks(self) -> int:
        return sum(self.grows(job) for job in self.running.values())


@dataclass
class Record:
    """Per request, in order of arrival (seconds; NaN is never), and totals."""

    admitted: np.ndarray
    first_token: np.ndarray
    finished: np.ndarray
    preemptions: np.ndarray
    token_times: list[list[float]]
    joules: float = 0.0
    busy: float = 0.0
    block_seconds: float = 0.0
    """Integral of the held blocks, those that a step takes counted from its start."""


def serve(trace: Trace, server: Server, policy: BatchPolicy) -> Record:
    """Serve a trace on one replica."""
    count, times, engine = len(trace), server.times, Engine(server)
    nan = np.full(count, np.nan)
    record = Record(
        nan.copy(), nan.copy(), nan.copy(), np.zeros(count, int), [[] for _ in range(count)]
    )
    enter = trace.arrival_s + times.seconds_per_request
    priority = np.zeros(count, int) if trace.priority is None else trace.priority
    needed = trace.input_tokens + trace.output_tokens - 1
    coming = [
        Job(i, int(trace.input_tokens[i]), float(enter[i]), int(priority[i]))
        for i in range(count)
        if needed[i] <= server.blocks * server.block_tokens
    ]
    now = 0.0
    while coming or engine.waiting or engine.running:
        while coming and coming[0].arrived <= now:
            job = coming.pop(0)
            job.target = job.prompt
            engine.made[job.index] = 0
            engine.waiting.append(job)
        engine.waiting.sort(key=lambda job: job.rank)
        if not engine.waiting and not engine.running:
            now = coming[0].arrived
            continue
        decision = policy.decide(engine, now, Price())
        for job in decision.preempt:
            del engine.running[job.index]
            job.generated = engine.made[job.index]
            job.target, job.computed = job.prompt + job.generated, 0
            job.preemptions += 1
            record.preemptions[job.index] += 1
            engine.waiting.append(job)
        tokens = {job.index: 1 for job in engine.decoding} if decision.decode else {}
        counts = [0] * (len(times.windows) + 1)
        contexts = [0] * (len(times.windows) + 1)
        for index in tokens:
            context = engine.context(engine.running[index])
            counts[bisect_right(times.windows, context)] += 1
            contexts[bisect_right(times.windows, context)] += context
        rows = []
        for job, new in decision.chunks:
            if job in engine.waiting:
                engine.waiting.remove(job)
                engine.running[job.index] = job
                if np.isnan(record.admitted[job.index]):
                    record.admitted[job.index] = now
            rows.append((new, job.computed))
            tokens[job.index] = new
        if not tokens:
            now = coming[0].arrived
            continue
        seconds, joules = times.step(counts, contexts, rows)
        record.busy += seconds
        growth = engine.growth_blocks if decision.decode else 0
        record.block_seconds += seconds * (server.blocks - engine.free_blocks + growth)
        record.joules += joules
        now += seconds
        for index, new in tokens.items():
            job = engine.running[index]
            if job.computed < job.target:
                job.computed += new
            if job.computed == job.target:
                engine.made[index] += 1
                record.token_times[index].append(now)
                if engine.made[index] == 1:
                    record.first_token[index] = now
                if engine.made[index] == trace.output_tokens[index]:
                    record.finished[index] = now
                    del engine.running[index]
    return record


def workload(rng: np.random.Generator, requests: int, rate: float, longest: int) -> Trace:
    """Exponential gaps (s) with bursts, lengths of all sizes, some with priority."""
    gaps = rng.exponential(1 / rate, requests) * (rng.random(requests) < 0.7)
    return Trace(
        np.cumsum(gaps),
        rng.integers(1, longest, requests),
        np.ceil(rng.exponential(longest / 4, requests)).astype(int),
        priority=rng.integers(0, 2, requests) if rng.random() < 0.3 else None,
    )


def check(trace: Trace, server: Server, policy: BatchPolicy) -> int:
    """Compares everything both engines know; returns the number of preemptions."""
    slow, fast = serve(trace, server, policy), simulate(trace, server, policy)
    for name, column in [
        ("admitted", fast.admitted_s),
        ("first_token", fast.first_token_s),
        ("finished", fast.finished_s),
    ]:
        np.testing.assert_allclose(column, getattr(slow, name), rtol=1e-6, err_msg=name)
    np.testing.assert_array_equal(fast.preemptions, slow.preemptions)
    assert fast.busy_seconds[0] == pytest.approx(slow.busy, rel=1e-6)
    idle_watts = server.times.idle_watts
    if idle_watts is not None and fast.usage.seconds is not None:
        idle = fast.usage.seconds - slow.busy
        assert fast.usage.joules == pytest.approx(slow.joules + idle_watts * idle, rel=1e-6)
    gaps = np.concatenate([np.diff(one) for one in slow.token_times])
    assert fast.gaps.tokens == len(gaps)
    return int(slow.preemptions.sum())
