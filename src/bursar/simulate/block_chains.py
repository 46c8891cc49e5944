"""Chains of blocks on virtual time: each block runs for all requests that wait at it, of any model.

A device goes through its blocks in order, again and again; a request waits until its next block
comes round. A model that is served whole is a chain of one block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bursar.errors import BadInput, Infeasible

Chains = Mapping[str, Sequence[str]]
"""The blocks of each model, in order."""


@dataclass(frozen=True, slots=True)
class ChainDevice:
    """A pass over a block reads its weights or computes, whichever takes longer, and starts.

    `flops_per_byte`: of one token, by the bytes of the weights it goes through (1 for 16 bits).
    """

    memory_bytes: float
    bytes_per_second: float
    flops_per_second: float
    flops_per_byte: float = 1.0
    start_seconds: float = 2e-5

    def pass_seconds(self, block_bytes: float, tokens: int) -> float:
        """One pass of so many tokens."""
        computed = block_bytes * self.flops_per_byte * tokens / self.flops_per_second
        return self.start_seconds + max(block_bytes / self.bytes_per_second, computed)


@dataclass(frozen=True, slots=True)
class ChainRequest:
    """Its prompt goes through the chain at once, each token of the answer after that by itself."""

    arrival_s: float
    model: str
    prompt: int
    answer: int


@dataclass(slots=True)
class _Job:
    index: int
    tokens: int
    left: int
    place: int = 0


def place_chains(
    chains: Chains, block_bytes: Mapping[str, float], popularity: Mapping[str, float],
    memory_bytes: float, devices: int,
) -> list[list[str]]:  # fmt: skip
    """The models on each device: each once, where most of its blocks lie; then again as they fit.

    The most popular come first; of equally good devices the one with the least traffic. A model's
    chain is not split. Raises `Infeasible` when one has no place, `BadInput` without a device.
    """
    if devices < 1:
        raise BadInput(f"{devices} devices; give 1 or more")
    held: list[set[str]] = [set() for _ in range(devices)]
    models: list[list[str]] = [[] for _ in range(devices)]
    traffic = [0.0] * devices
    ranked = sorted(chains, key=lambda model: -popularity[model])

    def extra(device: int, model: str) -> float:
        return sum(block_bytes[block] for block in set(chains[model]) - held[device])

    def fits(device: int, model: str) -> bool:
        used = sum(block_bytes[block] for block in held[device])
        return used + extra(device, model) <= memory_bytes

    for copies in range(devices):
        for model in ranked:
            able = [d for d in range(devices) if model not in models[d] and fits(d, model)]
            if not able and not copies:
                raise Infeasible(
                    f"{model} has no place among {devices} devices of {memory_bytes:g} bytes: "
                    "give more of them or more memory"
                )
            if able:
                best = min(able, key=lambda d: (traffic[d], extra(d, model)))
                models[best].append(model)
                held[best] |= set(chains[model])
                traffic[best] += popularity[model] / (copies + 1)
    return models


def simulate_chains(
    requests: Sequence[ChainRequest],
    chains: Chains,
    block_bytes: Mapping[str, float],
    placement: Sequence[Sequence[str]],
    device: ChainDevice,
) -> NDArray[np.float64]:
    """(requests,) seconds from each arrival to the last token.

    Requests come in order; each goes to a device that has its model, in turn.
    """
    homes = {model: [d for d, m in enumerate(placement) if model in m] for model in chains}
    routed: list[list[int]] = [[] for _ in placement]
    turns = dict.fromkeys(chains, 0)
    for index, request in enumerate(requests):
        home = homes[request.model]
        routed[home[turns[request.model] % len(home)]].append(index)
        turns[request.model] += 1
    took = np.zeros(len(requests))
    for models, indices in zip(placement, routed, strict=True):
        _run(requests, indices, {m: chains[m] for m in models}, block_bytes, device, took)
    return took


def _run(
    requests: Sequence[ChainRequest], indices: Sequence[int], chains: Chains,
    block_bytes: Mapping[str, float], device: ChainDevice, took: NDArray[np.float64],
) -> None:  # fmt: skip
    places = max((len(chain) for chain in chains.values()), default=0)
    sweep = list(dict.fromkeys(
        chain[place] for place in range(places) for chain in chains.values() if place < len(chain)
    ))  # fmt: skip
    waiting: dict[str, list[_Job]] = {block: [] for block in sweep}
    now, coming, under_way = 0.0, 0, 0
    while coming < len(indices) or under_way:
        if not under_way:
            now = max(now, requests[indices[coming]].arrival_s)
        for block in sweep:
            while coming < len(indices) and requests[indices[coming]].arrival_s <= now:
                request = requests[indices[coming]]
                job = _Job(indices[coming], request.prompt, request.answer)
                waiting[chains[request.model][0]].append(job)
                coming, under_way = coming + 1, under_way + 1
            jobs, waiting[block] = waiting[block], []
            if not jobs:
                continue
            now += device.pass_seconds(block_bytes[block], sum(job.tokens for job in jobs))
            for job in jobs:
                request = requests[job.index]
                chain = chains[request.model]
                job.place += 1
                if job.place == len(chain):
                    job.place, job.tokens, job.left = 0, 1, job.left - 1
                if job.left:
                    waiting[chain[job.place]].append(job)
                else:
                    took[job.index] = now - request.arrival_s
                    under_way -= 1
