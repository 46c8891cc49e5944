"""Seconds of the steps that a served load is made of, no law yet."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from bursar.catalog import Experts, dtype_bytes
from bursar.cost.deployment import Deployment
from bursar.cost.endtoend.served import Served
from bursar.cost.endtoend.topology import NODE, Replicas, replicas
from bursar.cost.memory import max_sequences
from bursar.cost.step import Steps, step_arrays
from bursar.cost.work import Array, residual_writes

CHUNK_TOKENS = 8192
"""Prompts run in chunks of at most so many tokens."""


@dataclass(frozen=True, slots=True)
class Features:
    """Seconds, unless said otherwise; arrays where the sizes of `Served` are.

    `decode`: one step that decodes for all running requests of a replica, at their mean length;
    `beside`: what the prompts of others add to a mean step; `prompt`: a prompt alone; `queued`: a
    prompt's share when several run together, over all replicas. `waves`: requests in flight over
    those whose cache fits, at least 1. `crossings`: all-reduces of a step that go from node to
    node. `tier`: table, fitted or roofline; what most of `decode` rests on.
    """

    engine: str
    mode: str
    tier: str
    routed: bool
    in_flight: ArrayLike
    tokens_out: ArrayLike
    decode: ArrayLike
    beside: ArrayLike
    prompt: ArrayLike
    queued: ArrayLike
    waves: ArrayLike
    crossings: float


def features(served: Served) -> Features:
    """Raises `BadInput` for a device whose memory bandwidth or link is not known."""
    users, out = np.asarray(served.in_flight, float), np.asarray(served.tokens_out, float)
    decoding = replicas(served.decode, float(np.max(users)))
    prompting = decoding
    if served.prefill is not None:  # one replica, where it is not known how many
        prompting = Replicas(served.prefill.place, float(served.prefill.workers or 1))
    place = decoding.place
    each = np.maximum(1.0, users / decoding.workers)
    length = np.asarray(np.asarray(served.tokens_in) + out / 2.0)
    batch = np.minimum(each, _room(_compact(place), length))
    decode = _steps(place, (1.0, length, batch))
    prompts = _Prompts.of(served)
    beside: ArrayLike = 0.0
    if served.prefill is None:
        beside = (batch - 1.0) / (out - 1.0) * prompts.beside(place, length, batch, decode.seconds)
    return Features(
        engine=served.engine,
        mode=served.mode,
        tier=decode.tier,
        routed=any(isinstance(block, Experts) for block in place.model.blocks),
        in_flight=users,
        tokens_out=out,
        decode=decode.seconds,
        beside=beside,
        prompt=prompts.seconds(prompting.place, 1.0),
        queued=prompts.queued(prompting),
        waves=each / batch,
        crossings=_crossings(place),
    )


def _steps(place: Deployment, *rows: tuple[ArrayLike, ArrayLike, ArrayLike]) -> Steps:
    """Steps that all have these rows: (new, context, count)."""
    columns = (
        np.stack(np.broadcast_arrays(*column), axis=-1) for column in zip(*rows, strict=True)
    )
    return step_arrays(place, *columns)


def _room(place: Deployment, length: Array) -> Array:
    """Requests of each length whose cache fits; infinity where that is not known, or none fits."""
    lengths, at = np.unique(length, return_inverse=True)
    rooms = [max_sequences(place, float(one)) or np.inf for one in lengths]
    return np.asarray(np.array(rooms)[at].reshape(length.shape))


def _compact(place: Deployment) -> Deployment:
    """Servers of 8-bit and smaller weights that run short of room keep the cache in 8 bits too."""
    small = dtype_bytes(place.dtype) <= 1 and dtype_bytes(place.kv_dtype) > 1
    return replace(place, kv_dtype="fp8") if small else place


@dataclass(frozen=True, slots=True)
class _Prompts:
    """Prompts of `fresh` tokens in `count` chunks of `size` tokens, which begin at `start` on
    average. One token would count as decoding, so chunks have two at least."""

    fresh: Array
    count: Array
    size: Array
    start: Array

    @classmethod
    def of(cls, served: Served) -> "_Prompts":
        fresh = np.asarray(served.tokens_in, float) - np.asarray(served.cached_in, float)
        count = np.ceil(fresh / CHUNK_TOKENS)
        size = fresh / count
        return cls(fresh, count, np.maximum(size, 2.0), served.cached_in + size * (count - 1) / 2)

    def seconds(self, place: Deployment, together: ArrayLike) -> Array:
        """So many prompts, side by side."""
        return self.count * _steps(place, (self.size, self.start, together)).seconds

    def queued(self, option: Replicas) -> Array:
        """Each of as many as fill a chunk on every group of devices."""
        together = np.maximum(1.0, CHUNK_TOKENS / self.fresh) * option.place.dp
        return np.asarray(self.seconds(option.place, together) / (together * option.workers))

    def beside(self, place: Deployment, length: Array, batch: Array, alone: Array) -> Array:
        """What one prompt adds to the steps that decode `batch` requests of this length."""
        # with data-parallel attention every group of devices runs a prompt of its own
        prompts = float(place.dp)
        mixed = _steps(place, (1.0, length, batch), (self.size, self.start, prompts)).seconds
        return self.count * np.maximum(0.0, mixed - alone) / prompts


def _crossings(place: Deployment) -> float:
    """Only where matrices are split over nodes; a rack of Grace Blackwells is one node."""
    one_node = place.tp <= NODE or place.device.name.startswith("gb")
    return 0.0 if one_node else float(residual_writes(place.model))
