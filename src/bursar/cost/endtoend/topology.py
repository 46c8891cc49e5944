"""How a pool is grouped into replicas, where it is not stated.

Published disaggregated runs often give the devices of a replica and neither how many replicas there
are nor whether attention is split or replicated. The rules here are what those runs do that state
it; intervals are calibrated on runs that do not.
"""

from dataclasses import dataclass, replace

from bursar.catalog import Experts
from bursar.cost.deployment import Deployment
from bursar.cost.endtoend.served import Pool
from bursar.cost.memory import memory_bytes

NODE = 8
"""Devices of a usual node: replicas that are wider have data-parallel attention."""

CROWDED = 16.0
"""Requests a device from which a mixture of experts has data-parallel attention."""

COPIES = {"trtllm": 4.0}
"""Replicas that decode, all matrices split, by engine; other engines have `FEW_COPIES`."""

FEW_COPIES = 2.0

RACK = 32
"""Devices of one wide replica where not even the width is stated."""


@dataclass(frozen=True, slots=True)
class Replicas:
    """`workers` equal deployments."""

    place: Deployment
    workers: float


def replicas(pool: Pool, in_flight: float) -> Replicas:
    """As stated, or as such a pool is usually run with `in_flight` requests."""
    place = pool.place
    if pool.workers is not None:
        return Replicas(place, float(pool.workers))
    stated, least = place.tp * place.dp, _least(place)
    routed = any(isinstance(block, Experts) for block in place.model.blocks)
    lost = stated < least
    devices = (RACK if in_flight > 2 * CROWDED * NODE else least) if lost else stated
    if routed and (devices > 2 * NODE or in_flight > CROWDED * devices):
        spread = replace(place.engine, ep=devices)
        return Replicas(replace(place, tp=1, dp=devices, engine=spread), 1.0)
    copies = COPIES.get(place.engine.name or "any", FEW_COPIES)
    return Replicas(replace(place, tp=devices, dp=1), copies)


def _least(place: Deployment) -> int:
    """Fewest devices, a power of two, that hold the weights."""
    width = 1
    while width < NODE and not memory_bytes(replace(place, tp=width, dp=1), 1, 1024).fits:
        width *= 2
    return width
