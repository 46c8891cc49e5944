"""Seconds of the steps that a served load is made of, from summed operators; no law yet."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bursar.catalog import Device, Experts, dtype_bytes
from bursar.cost.deployment import Deployment
from bursar.cost.endtoend.served import Served
from bursar.cost.endtoend.topology import NODE, Replicas, replicas
from bursar.cost.memory import max_sequences
from bursar.cost.tables import Engine, OperatorCosts, OperatorTable
from bursar.cost.work import Array, residual_writes

CHUNK_TOKENS = 8192
"""Prompts run in chunks of at most so many tokens."""


@dataclass(frozen=True)
class Operators:
    """Prices steps by `tables` where they have the device, else by fitted coefficients."""

    tables: Sequence[OperatorTable] = ()
    _made: dict[tuple[str, Engine], OperatorCosts] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def costs(self, device: Device, engine: Engine) -> OperatorCosts:
        """The same object for the same device and engine: it keeps its grids."""
        key = device.name, engine
        if key not in self._made:
            self._made[key] = OperatorCosts(device, engine, self.tables)
        return self._made[key]


@dataclass(frozen=True, slots=True)
class Features:
    """Seconds, unless said otherwise.

    `decode`: one step that decodes for all running requests of a replica, at their mean length;
    `beside`: what the prompts of others add to a mean step; `prompt`: a prompt alone; `queued`: a
    prompt's share when several run together, over all replicas. `waves`: requests in flight over
    those whose cache fits, at least 1. `crossings`: all-reduces of a step that go from node to
    node. `tier`: table or fitted, what most of `decode` rests on.
    """

    engine: str
    mode: str
    tier: str
    routed: bool
    in_flight: float
    tokens_out: int
    decode: float
    beside: float
    prompt: float
    queued: float
    waves: float
    crossings: float


def features(served: Served, operators: Operators) -> Features:
    """Raises `BadInput` for a device whose memory bandwidth or link is not known."""
    decoding = replicas(served.decode, served.engine, served.in_flight)
    prompting = decoding
    if served.prefill is not None:  # one replica, where it is not known how many
        pool = served.prefill
        prompting = Replicas(pool.place, float(pool.workers or 1), pool.ep)
    each = max(1.0, served.in_flight / decoding.workers)
    length = served.tokens_in + served.tokens_out / 2.0
    room = max_sequences(_compact(decoding.place), length)
    batch = min(each, float(room)) if room else each
    costs = operators.costs(decoding.place.device, _engine(served, decoding))
    decode = costs.step_arrays(decoding.place, 1, length, batch)
    prompt, queued = _prompts(served, prompting, operators)
    return Features(
        engine=served.engine,
        mode=served.mode,
        tier="table" if decode.tiers.get("fitted", 0.0) < 0.5 else "fitted",
        routed=any(isinstance(block, Experts) for block in decoding.place.model.blocks),
        in_flight=served.in_flight,
        tokens_out=served.tokens_out,
        decode=float(decode.seconds),
        beside=_beside(served, decoding.place, costs, batch, length) if not served.prefill else 0.0,
        prompt=prompt,
        queued=queued,
        waves=each / batch,
        crossings=_crossings(decoding.place),
    )


def _compact(place: Deployment) -> Deployment:
    """Servers of 8-bit and smaller weights that run short of room keep the cache in 8 bits too."""
    small = dtype_bytes(place.dtype) <= 1 and dtype_bytes(place.kv_dtype) > 1
    return replace(place, kv_dtype="fp8") if small else place


def _beside(
    served: Served, place: Deployment, costs: OperatorCosts, batch: float, length: float
) -> float:
    """While a request decodes, each of the others is replaced by one whose prompt runs too."""
    size, starts = _chunks(served)
    new = np.stack([np.ones_like(starts), np.full_like(starts, size)], axis=-1)
    context = np.stack([np.full_like(starts, length), starts], axis=-1)
    # with data-parallel attention every group of devices runs a prompt of its own
    prompts = float(place.dp)
    mixed = costs.step_arrays(place, new, context, np.array([batch, prompts]))
    alone = costs.step_arrays(place, 1, length, batch)
    extra = float(np.sum(mixed.seconds - alone.seconds)) / prompts
    return (batch - 1.0) / (served.tokens_out - 1.0) * max(0.0, extra)


def _prompts(served: Served, option: Replicas, operators: Operators) -> tuple[float, float]:
    """(prompt, queued): alone, and each of as many as fill a chunk on every group of devices."""
    costs = operators.costs(option.place.device, _engine(served, option))
    size, starts = _chunks(served)
    fresh = served.tokens_in - served.cached_in
    together = max(1.0, CHUNK_TOKENS / fresh) * option.place.dp
    new = np.full((len(starts), 1), size)
    alone, many = (
        float(np.sum(costs.step_arrays(option.place, new, starts[:, None], count).seconds))
        for count in (1.0, together)
    )
    return alone, many / (together * option.workers)


def _chunks(served: Served) -> tuple[float, Array]:
    """Length of a prompt's chunks (2 at least: one token would count as decoding), and starts."""
    fresh = served.tokens_in - served.cached_in
    count = -(-fresh // CHUNK_TOKENS)
    size = fresh / count
    return max(size, 2.0), served.cached_in + size * np.arange(count, dtype=np.float64)


def _crossings(place: Deployment) -> float:
    """Only where matrices are split over nodes; a rack of Grace Blackwells is one node."""
    one_node = place.tp <= NODE or place.device.name.startswith("gb")
    return 0.0 if one_node else float(residual_writes(place.model))


def _engine(served: Served, option: Replicas) -> Engine:
    return Engine(served.engine, block_scales=served.block_scales, ep=option.ep)
