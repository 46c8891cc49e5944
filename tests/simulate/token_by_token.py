"""The slow twin of the simulator: one token at a time, everything counted anew at each step.

Shares with `bursar.simulate` only the policies and the step times: what the fast engine plans in
closed form is here a plain loop over jobs.
"""

from bisect import bisect_right
from dataclasses import asdict, dataclass, field

import numpy as np
import pytest
from host_by_token import HostByToken

from bursar.policies.batching import HISTORY, BatchPolicy, Job, Segment
from bursar.policies.routing import RoundRobin
from bursar.price import Price
from bursar.simulate import Server, Simulation
from bursar.simulate.entering import jobs
from bursar.simulate.host_link import Transfers
from bursar.simulate.prefixes import prefixes
from bursar.simulate.replicas import Replicas
from bursar.workload.traces import Trace


@dataclass
class Engine:
    """A `BatchState` that keeps lists of jobs and derives the rest from them."""

    server: Server
    waiting: list[Job] = field(default_factory=list)
    running: dict[int, Job] = field(default_factory=dict)
    made: dict[int, int] = field(default_factory=dict)
    """Tokens of the answer so far, by index."""
    outputs: list[int] = field(default_factory=list)
    """Lengths of finished answers, in order of completion."""
    parts: dict[int, Segment] = field(default_factory=dict)
    """Cached parts of contexts by key."""
    queue: list[int | None] = field(default_factory=list)
    """Free blocks in the order they are to be taken: the key of the part in each, or None."""
    using: dict[int, list[Segment]] = field(default_factory=dict)
    """By index of a running job: the cached parts it uses."""
    coming: list[Job] = field(default_factory=list)
    """Running jobs whose caches are on their way back."""
    begun: list[Job] = field(default_factory=list)
    """Running jobs in the order in which they could begin to prefill, go on or decode."""

    def __post_init__(self) -> None:
        if self.server.prefix_cache:
            self.queue = [None] * self.blocks

    @property
    def blocks(self) -> int:
        return self.server.blocks

    @property
    def block_tokens(self) -> int:
        return self.server.block_tokens

    @property
    def prefilling(self) -> list[Job]:
        return [x for x in self.begun if x.computed < x.target and x not in self.coming]

    @property
    def decoding(self) -> list[Job]:
        return [job for job in self.begun if job.computed == job.target]

    def context(self, job: Job) -> int:
        """Cached tokens of a decoding job: all but the last one made."""
        return job.prompt + self.made[job.index] - 1

    def held_blocks(self, job: Job) -> int:
        return self.own_blocks(job) + sum(
            part.blocks for part in self.using[job.index] if self.users(part) == 1
        )

    def own_blocks(self, job: Job) -> int:
        """Those that are no cached part."""
        held = self.context(job) if job.computed == job.target else job.target
        return -(-held // self.block_tokens) - sum(p.blocks for p in self.using[job.index])

    def users(self, part: Segment) -> int:
        return sum(part in used for used in self.using.values())

    @property
    def free_blocks(self) -> int:
        parts = {part for used in self.using.values() for part in used}
        own = sum(self.own_blocks(job) for job in self.running.values())
        free = self.blocks - own - sum(part.blocks for part in parts)
        assert free >= 0, "the KV cache is over its capacity"
        return free

    def matched(self, job: Job) -> list[Segment]:
        """The leading parts that are cached."""
        found = []
        for part in job.prefix:
            if part.key not in self.parts:
                break
            found.append(part)
        return found

    def cached_tokens(self, job: Job) -> int:
        matched = max((part.end for part in self.matched(job)), default=job.received)
        return min(matched, job.target - 1)

    def needed_blocks(self, job: Job) -> int:
        held = sum(part.blocks for part in self.matched(job) if self.users(part))
        return -(-job.target // self.block_tokens) - held

    def admit(self, job: Job) -> None:
        self.waiting.remove(job)
        self.using[job.index] = self.matched(job)
        matched = {part.key for part in self.using[job.index]}
        self.queue = [key for key in self.queue if key not in matched]
        job.computed = self.cached_tokens(job)
        self.running[job.index] = job
        self.begun.append(job)

    def keep(self, job: Job, before: int) -> None:
        """Parts of the prompt that were completed in this step become cached."""
        for part in job.prefix if self.server.prefix_cache else ():
            if before < part.end <= job.computed and part.key not in self.parts:
                self.parts[part.key] = part
                self.using[job.index].append(part)

    def keep_own(self, job: Job, cached: int) -> None:
        """All whole blocks of a context become cached, for a job that is to be preempted."""
        size = self.block_tokens
        for number in range(1, cached // size + 1) if self.server.prefix_cache else ():
            if not job.prefix or job.prefix[-1].end < number * size:
                part = Segment(-1_000_000 * (job.index + 1) - number, 1, number * size)
                job.prefix += (part,)
                self.parts[part.key] = part
                self.using[job.index].append(part)

    def remove(self, job: Job) -> None:
        if self.server.prefix_cache:
            self.queue += [None] * self.own_blocks(job)
        del self.running[job.index]
        self.begun.remove(job)
        for part in reversed(self.using.pop(job.index)):
            if not self.users(part):
                self.queue += [part.key] * part.blocks

    def forget(self, free: int) -> None:
        """The blocks in front are taken; a part that one of them is of is cached no longer."""
        while len(self.queue) > free:
            taken = self.queue.pop(0)
            if taken is not None:
                del self.parts[taken]
                self.queue = [None if key == taken else key for key in self.queue]

    def grows(self, job: Job) -> bool:
        return job.computed == job.target and self.context(job) % self.block_tokens == 0

    @property
    def growth_blocks(self) -> int:
        return sum(self.grows(job) for job in self.running.values())

    def generated(self, job: Job) -> int:
        return self.made[job.index]

    @property
    def finished_outputs(self) -> list[int]:
        return sorted(self.outputs[-HISTORY:])


@dataclass
class Record:
    """Per request, in order of arrival (seconds; NaN is never), and totals."""

    admitted: np.ndarray
    first_token: np.ndarray
    finished: np.ndarray
    preemptions: np.ndarray
    stalled: np.ndarray
    cached: np.ndarray
    token_times: list[list[float]]
    transfers: Transfers = field(default_factory=Transfers)
    joules: float = 0.0
    busy: float = 0.0
    block_seconds: float = 0.0
    """Integral of the held blocks, those that a step takes counted from its start."""


def serve(
    trace: Trace,
    server: Server,
    policy: BatchPolicy,
    first_tokens: np.ndarray | None = None,
    conversations: np.ndarray | None = None,
) -> Record:
    """Serve a trace on one replica; those with first tokens (s) come with their prompt's cache."""
    host = None if server.host is None else HostByToken(server)
    count, times, engine = len(trace), server.times, Engine(server)
    nan = np.full(count, np.nan)
    record = Record(
        nan.copy(),
        nan.copy(),
        nan.copy(),
        np.zeros(count, int),
        np.zeros(count),
        np.zeros(count, int),
        [[] for _ in range(count)],
    )
    enter = trace.arrival_s + times.seconds_per_request * (first_tokens is None)
    priority = np.zeros(count, int) if trace.priority is None else trace.priority
    needed = trace.input_tokens + trace.output_tokens - 1
    parts = prefixes(trace, server.block_tokens) if server.prefix_cache else [()] * count
    coming = [
        Job(i, int(trace.input_tokens[i]), float(enter[i]), int(priority[i]), prefix=parts[i])
        for i in range(count)
        if needed[i] <= server.blocks * server.block_tokens
    ]
    if conversations is not None:
        for job in coming:
            job.conversation = int(conversations[job.index])
    now, interrupted = 0.0, set[int]()
    while coming or engine.waiting or engine.running:
        while coming and coming[0].arrived <= now:
            job = coming.pop(0)
            if first_tokens is not None:
                job.received, job.generated = job.prompt, 1
                record.token_times[job.index].append(first_tokens[job.index])
                interrupted.add(job.index)
            engine.made[job.index] = job.generated
            job.target = job.prompt + job.generated
            engine.waiting.append(job)
        for job in sorted(engine.waiting, key=lambda job: job.index) if host else ():
            if np.isnan(record.admitted[job.index]) and not job.received:
                host.match(job)
        for job in host.landed(now) if host else ():
            if job in engine.coming:
                engine.coming.remove(job)
                engine.begun.remove(job)
                engine.begun.append(job)
                if job.generated and job.received == job.target - 1:
                    job.computed = job.target
        engine.waiting.sort(key=lambda job: job.rank)
        if not engine.waiting and not engine.running:
            now = coming[0].arrived
            continue
        decision = policy.decide(engine, now, Price())
        chunks, moved = [], bool(decision.preempt or decision.swap)
        for job in (*decision.preempt, *decision.swap):
            cached = engine.context(job) if job.computed == job.target else job.computed
            engine.keep_own(job, cached)
            engine.remove(job)
            received = host.leaves(job, cached, now, job in decision.swap) if host else 0
            if job in engine.coming:
                engine.coming.remove(job)
            job.generated = engine.made[job.index]
            job.target, job.computed, job.received = job.prompt + job.generated, 0, received
            job.preemptions += 1
            record.preemptions[job.index] += 1
            interrupted.add(job.index)
            engine.waiting.append(job)
        for job, new in decision.chunks:
            if job in engine.waiting:
                engine.admit(job)
                if np.isnan(record.admitted[job.index]):
                    record.admitted[job.index] = now
                    record.cached[job.index] = job.computed
                if host and job.index in host.caches:
                    overlapped = host.fetch(job, now)
                    resumes = job.generated > 0 and job.received == job.target - 1
                    if overlapped:
                        engine.coming.append(job)
                    elif resumes:
                        job.computed = job.target
                    if overlapped or resumes:
                        moved = True
                        continue
                elif host:
                    host.take(job.index, -(-job.target // server.block_tokens))
            chunks.append((job, new))
        decoding = [job.index for job in engine.decoding] if decision.decode else []
        tokens = dict.fromkeys(decoding, 1)
        counts = [0] * (len(times.windows) + 1)
        contexts = [0] * (len(times.windows) + 1)
        for index in tokens:
            context = engine.context(engine.running[index])
            counts[bisect_right(times.windows, context)] += 1
            contexts[bisect_right(times.windows, context)] += context
        rows = []
        for job, new in chunks:
            rows.append((new, job.computed))
            tokens[job.index] = new
        if not tokens:
            if not moved:
                landings = [one.end for one in host.link if one.job] if host else []
                now = min([job.arrived for job in coming[:1]] + landings)
            continue
        seconds, joules = times.step(counts, contexts, rows)
        record.busy += seconds
        growth = engine.growth_blocks if decision.decode else 0
        if host:
            now = host.begin(now, engine.free_blocks, growth)
            for index in sorted(decoding):
                if engine.grows(engine.running[index]):
                    host.take(index, 1)
        engine.forget(engine.free_blocks - growth)
        record.block_seconds += seconds * (server.blocks - engine.free_blocks + growth)
        record.joules += joules
        now += seconds
        for job in coming if host else ():
            job.target = job.prompt
            if job.arrived <= now and not job.received:
                host.match(job)
        for index, new in tokens.items():
            job = engine.running[index]
            if job.computed < job.target:
                job.computed += new
                engine.keep(job, job.computed - new)
                if job.computed == job.target:
                    engine.begun.remove(job)
                    engine.begun.append(job)
            if job.computed == job.target:
                engine.made[index] += 1
                record.token_times[index].append(now)
                if engine.made[index] == 1:
                    record.first_token[index] = now
                elif index in interrupted:
                    pause = now - record.token_times[index][-2]
                    record.stalled[index] = max(record.stalled[index], pause)
                interrupted.discard(index)
                if engine.made[index] == trace.output_tokens[index]:
                    record.finished[index] = now
                    engine.outputs.append(engine.made[index])
                    if host:
                        host.finishes(job, engine.context(job), now)
                    engine.remove(job)
    if host:
        record.transfers = host.moved
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


def macro(
    trace: Trace, server: Server, policy: BatchPolicy, conversations: np.ndarray | None = None
) -> Simulation:
    """The same by macro-steps."""
    fleet = Replicas(1, server, policy, RoundRobin(), Price())
    coming = list(jobs(trace, server, fleet.outcomes))
    if conversations is not None:
        for job in coming:
            job.conversation = int(conversations[job.index])
    fleet.play(coming)
    return Simulation.of(trace, [fleet])


def check(
    trace: Trace, server: Server, policy: BatchPolicy, conversations: np.ndarray | None = None
) -> int:
    """Compares everything both engines know; returns the number of preemptions."""
    slow = serve(trace, server, policy, conversations=conversations)
    fast = macro(trace, server, policy, conversations)
    for name, column in [
        ("admitted", fast.admitted_s),
        ("first_token", fast.first_token_s),
        ("finished", fast.finished_s),
        ("stalled", fast.stalled_s),
    ]:
        np.testing.assert_allclose(column, getattr(slow, name), rtol=1e-6, err_msg=name)
    np.testing.assert_array_equal(fast.preemptions, slow.preemptions)
    np.testing.assert_array_equal(fast.cached_tokens, slow.cached)
    assert asdict(fast.transfers) == pytest.approx(asdict(slow.transfers), rel=1e-6)
    assert fast.busy_seconds[0] == pytest.approx(slow.busy, rel=1e-6)
    idle_watts = server.times.idle_watts
    if idle_watts is not None and fast.usage.seconds is not None:
        idle = fast.usage.seconds - slow.busy
        assert fast.usage.joules == pytest.approx(slow.joules + idle_watts * idle, rel=1e-6)
    assert fast.gaps.tokens == sum(len(times) - 1 for times in slow.token_times if times)
    return int(slow.preemptions.sum())
