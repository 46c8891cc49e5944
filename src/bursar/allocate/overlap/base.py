"""How the operations of a batch are spread over one device: the table that schedules are made of.

A schedule splits a batch into nano-batches, each of which runs the whole model, and says how many
of the device's units attention and collectives may take. One nano-batch is the sequential engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bursar.cost import Deployment
from bursar.cost.layer_work import Batch, Layer, layer_of
from bursar.cost.shared_device import Operation, SharedDevice
from bursar.errors import BadInput


@dataclass(frozen=True, slots=True)
class Schedule:
    """`shares` of the batch's tokens, one a nano-batch; units that two kinds may take of 1."""

    shares: tuple[float, ...] = (1.0,)
    attention_units: float = 1.0
    link_units: float = 1.0

    def __post_init__(self) -> None:
        if min(self.shares, default=0.0) <= 0 or abs(sum(self.shares) - 1.0) > 1e-9:
            raise BadInput(f"shares = {self.shares}; must be above 0 and add up to 1")


SEQUENTIAL = Schedule()


def layers_of(deployment: Deployment, batch: Batch, shares: Sequence[float]) -> list[Layer]:
    """Work in one layer, by nano-batch; each reads the weights anew."""
    return [layer_of(deployment, batch.rows(share)) for share in shares]


def operations_of(layers: Sequence[Layer], schedule: Schedule, count: int) -> list[Operation]:
    """`count` layers of all nano-batches: matrices, attention and collectives in a lane each.

    A nano-batch's operations follow one another. Where several want a lane, the one listed first
    goes first: by layer, and then by nano-batch.
    """
    operations: list[Operation] = []
    last: dict[int, tuple[int, ...]] = dict.fromkeys(range(len(layers)), ())

    def add(nano: int, operation: Operation, lane: str, units: float) -> None:
        operations.append(replace(operation, lane=lane, units=units, after=last[nano]))
        last[nano] = (len(operations) - 1,)

    for _ in range(count):
        for nano, layer in enumerate(layers):
            add(nano, layer.into, "matrices", 1.0)
            add(nano, layer.attention, "attention", schedule.attention_units)
            add(nano, layer.out, "matrices", 1.0)
            if layer.reduce is not None:
                add(nano, layer.reduce, "link", schedule.link_units)
            add(nano, layer.feed_forward, "matrices", 1.0)
            if layer.reduce is not None:
                add(nano, layer.reduce, "link", schedule.link_units)
    return operations


def seconds_of(
    device: SharedDevice, deployment: Deployment, batch: Batch, schedule: Schedule, count: int
) -> float:
    """How long `count` layers of a batch take by this schedule."""
    layers = layers_of(deployment, batch, schedule.shares)
    return device.play(operations_of(layers, schedule, count)).seconds
