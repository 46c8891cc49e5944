"""DistServe: prompts run on some instances, answers on others, and KV caches are sent between them.

Paper: Yinmin Zhong, Shengyu Liu, Junda Chen, Jianbo Hu, Yibo Zhu, Xuanzhe Liu, Xin Jin, Hao Zhang,
    "DistServe: Disaggregating Prefill and Decoding for Goodput-optimized Large Language Model
    Serving", 2024, arXiv:2401.09670; sections 3 and 4.
Symbols: prefill instances -> prefill.replicas; decoding instances -> decode.replicas.
Differs: an instance sends one cache at a time, whole, after the prompt is done, and its memory is
    free meanwhile (the paper keeps it there until it is fetched); parallelism and numbers of
    instances are given here, `fleet/splitwise.py` searches the numbers.
Checked: tests/papers/test_distserve.py: 13 billion parameters on 8 GPUs, 90 % within both
    goals: where the first token must come within 1.1 times the bare prefill (90th percentile), at
    least 1.5 times the best of three colocated policies' rate; at twice the bare prefill the
    colocated carry more, as they do over a slow link.
Seed: 48
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from numpy.typing import ArrayLike

from bursar.cost import Deployment
from bursar.cost.work import Array, kv_cache_bytes
from bursar.errors import BadInput
from bursar.policies.batching import BatchPolicy, Job
from bursar.policies.routing import LeastJobs, Router
from bursar.price import Price
from bursar.simulate.entering import jobs
from bursar.simulate.outcomes import Outcomes
from bursar.simulate.replicas import Replicas
from bursar.simulate.server import Server
from bursar.simulate.simulation import Simulation
from bursar.workload.traces import Trace


@dataclass(frozen=True, slots=True)
class Pool:
    """Instances of one kind, which do the same part of the work."""

    server: Server
    policy: BatchPolicy
    replicas: int = 1
    router: Router = field(default_factory=LeastJobs)


@dataclass(frozen=True, slots=True)
class Link:
    """What an instance sends caches over; `cache_bytes` of a prompt of so many tokens.

    Raises `BadInput` unless `bytes_per_second` is above zero.
    """

    bytes_per_second: float
    cache_bytes: Callable[[ArrayLike], Array]

    def __post_init__(self) -> None:
        if not self.bytes_per_second > 0:
            raise BadInput(
                f"bytes_per_second = {self.bytes_per_second}; a link must have more than 0"
            )


def link_of(deployment: Deployment, bytes_per_second: float) -> Link:
    """A link for caches as this deployment keeps them."""

    def cache_bytes(tokens: ArrayLike) -> Array:
        return kv_cache_bytes(deployment.model, tokens, deployment.kv_dtype)

    return Link(bytes_per_second, cache_bytes)


def simulate_split(
    trace: Trace, prefill: Pool, decode: Pool, link: Link, *, price: Price | None = None
) -> Simulation:
    """Serve a trace whose first tokens come from one pool, and all others from another.

    The replicas of `decode` are counted after those of `prefill`. A request is rejected when its
    prompt does not fit a prefill instance, or prompt and answer a decode instance. Raises as
    `simulate` does.
    """
    outcomes, price = Outcomes(), price or Price()
    first, second = (
        Replicas(pool.replicas, pool.server, pool.policy, pool.router, price, outcomes)
        for pool in (prefill, decode)
    )
    outputs = trace.output_tokens.tolist()
    fits = trace.input_tokens + trace.output_tokens - 1 <= second.capacity_tokens
    entering = jobs(trace, prefill.server, outcomes)
    first.play(_for_one_token(job, outcomes) for job in entering if fits[job.index])
    moving = [index for index in outcomes.done if outputs[index] > 1]
    arrivals = _sent(moving, outcomes, link.cache_bytes(trace.input_tokens) / link.bytes_per_second)
    outcomes.outputs[:] = outputs
    second.play(_moved(trace, arrivals))
    for index in moving:
        outcomes.replica[index] += first.size
    return Simulation.of(trace, [first, second])


def _for_one_token(job: Job, outcomes: Outcomes) -> Job:
    outcomes.outputs[job.index] = 1
    return job


def _sent(moving: list[int], outcomes: Outcomes, seconds: Array) -> list[tuple[float, int]]:
    """(when its cache has arrived, index) of each, in order of time; a link sends one by one."""
    free: dict[int, float] = {}
    arrivals = []
    for index in moving:
        place = outcomes.replica[index]
        start = max(free.get(place, 0.0), outcomes.finished[index])
        free[place] = start + float(seconds[index])
        arrivals.append((free[place], index))
    return sorted(arrivals)


def _moved(trace: Trace, arrivals: list[tuple[float, int]]) -> Iterator[Job]:
    for now, index in arrivals:
        prompt = int(trace.input_tokens[index])
        priority = 0 if trace.priority is None else int(trace.priority[index])
        yield Job(index, prompt, now, priority, generated=1, received=prompt)
