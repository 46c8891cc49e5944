"""`Server`: what one replica is made of, and how many blocks of KV cache a deployment leaves."""

from __future__ import annotations

from dataclasses import dataclass

from bursar.cost import Deployment, memory_bytes
from bursar.cost.memory import CHUNK_TOKENS
from bursar.errors import BadInput, Infeasible
from bursar.simulate.host_memory import HostMemory
from bursar.simulate.roofline_times import RooflineTimes
from bursar.simulate.step_times import StepTimes
from bursar.simulate.tabulated_times import TabulatedTimes

_NO_CACHE_BLOCKS = 2**40  # a model without attention: blocks are never what binds


@dataclass(frozen=True, slots=True)
class Server:
    """The times of a replica's steps, its KV cache in blocks, and its rent (None: not known)."""

    times: StepTimes
    blocks: int
    block_tokens: int = 16
    usd_per_second: float | None = None
    prefix_cache: bool = False
    """Whether prompts that begin alike share their blocks, and preempted jobs find theirs again."""
    host: HostMemory | None = None
    """Where caches of preempted jobs can go; without one they are always computed again."""

    def __post_init__(self) -> None:
        if self.prefix_cache and self.host is not None:
            raise BadInput("prefix_cache and host; shared blocks can't be swapped, leave one out")
        for name in ("blocks", "block_tokens"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} = {getattr(self, name)}; must be 1 or more")


def server_of(deployment: Deployment, *, max_jobs: int = 256, block_tokens: int = 16) -> Server:
    """A replica that is `deployment`; states of recurrent layers are set aside for `max_jobs`.

    Every layer's cache is taken to grow with the context, also where it attends to a window only
    (as engines without a separate pool for each kind of layer do), so windows make it no larger.
    Raises `Infeasible` when no block is left, `BadInput` when the device's memory is not known.
    """
    rent = deployment.device.usd_per_hour
    return Server(
        times=times_of(deployment),
        blocks=_blocks(deployment, max_jobs, block_tokens),
        block_tokens=block_tokens,
        usd_per_second=None if rent is None else rent * deployment.devices / 3600.0,
    )


def times_of(deployment: Deployment) -> StepTimes:
    """How long its steps take: exact for a roofline, from tables for operators."""
    if deployment.efficiency is None:
        return TabulatedTimes(deployment)
    return RooflineTimes(deployment, deployment.efficiency)


def _blocks(place: Deployment, max_jobs: int, block_tokens: int) -> int:
    need = memory_bytes(place, 1, CHUNK_TOKENS)
    if need.usable is None:
        raise BadInput(f"{place.device.name} has no known memory size; give `Server` its blocks")
    one, two = (memory_bytes(place, 1, tokens).kv_cache for tokens in (1, 2))
    per_token = two - one  # two tokens are within every window
    states = max_jobs * (one - per_token)
    room = need.usable - need.weights - need.activations - states
    if room < block_tokens * per_token or room <= 0:
        gib = 2.0**30
        raise Infeasible(
            f"{place.model.name} in {place.dtype} on {place.device.name} (tp = {place.tp}): weights"
            f" {need.weights / gib:.1f}, activations {need.activations / gib:.1f} and states of "
            f"{max_jobs} jobs {states / gib:.1f} GiB a device leave {room / gib:.1f} of "
            f"{need.usable / gib:.1f} for the KV cache: use more devices or a smaller dtype"
        )
    return int(room // (block_tokens * per_token)) if per_token else _NO_CACHE_BLOCKS
