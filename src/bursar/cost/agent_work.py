"""Operators of an agent's graph, and the ways in which a device can run each of them.

A call to a model is two operators, its prompt and its answer, because they want different devices:
the prompt is bound by compute and the answer by memory bandwidth. Everything else an agent does
(parsing, search, a tool) is FLOPs and bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bursar.catalog import Device, ModelSpec
from bursar.cost.deployment import MEASURED, Deployment, Efficiency
from bursar.cost.memory import memory_bytes
from bursar.cost.step import step_arrays
from bursar.errors import BadInput

BATCHES = (1, 4, 16, 64)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to run an operator on a device: `batch` of it side by side, each taking `seconds`.

    `resident` names what must be loaded (None: nothing), of `resident_bytes`; `batch_bytes` is what
    the batch needs besides.
    """

    seconds: float
    batch: int
    resident: str | None
    resident_bytes: float
    batch_bytes: float

    @property
    def device_seconds(self) -> float:
        """What one execution takes of the device's time."""
        return self.seconds / self.batch


class Operator(Protocol):
    """A node of an agent's graph."""

    def ways(self, device: Device) -> list[Way]:
        """How one device of this kind can run it; none when it does not fit."""
        ...


@dataclass(frozen=True, slots=True)
class Prompt:
    """The first pass of a model over `tokens` tokens."""

    model: ModelSpec
    tokens: int
    dtype: str = "bf16"
    efficiency: Efficiency = MEASURED

    def ways(self, device: Device) -> list[Way]:
        """See `Operator.ways`; prompts run one at a time."""
        place = _place(self, device)
        seconds = float(step_arrays(place, self.tokens, 0).seconds)
        return _fitting(place, seconds, 1, self.tokens)


@dataclass(frozen=True, slots=True)
class Answer:
    """`tokens` decode steps of a model after `context` tokens."""

    model: ModelSpec
    context: int
    tokens: int
    dtype: str = "bf16"
    efficiency: Efficiency = MEASURED

    def ways(self, device: Device) -> list[Way]:
        """See `Operator.ways`; answers run in batches of `BATCHES`."""
        place, found = _place(self, device), []
        lengths = self.context + np.arange(self.tokens, dtype=np.float64)[:, None]
        for batch in BATCHES:
            seconds = float(np.sum(step_arrays(place, 1, lengths, batch).seconds))
            found += _fitting(place, seconds, batch, self.context + self.tokens)
        return found


@dataclass(frozen=True, slots=True)
class ToolCall:
    """Anything else: `flops` in numbers stored as `dtype`, `bytes_moved` of memory traffic."""

    flops: float
    bytes_moved: float
    dtype: str = "fp32"
    efficiency: Efficiency = MEASURED

    def __post_init__(self) -> None:
        if not min(self.flops, self.bytes_moved) >= 0 or self.flops + self.bytes_moved == 0:
            raise BadInput(
                f"a tool call of {self.flops} FLOPs and {self.bytes_moved} bytes: both must be "
                "zero or more, one of them more"
            )

    def ways(self, device: Device) -> list[Way]:
        """See `Operator.ways`; needs no memory to speak of."""
        bandwidth = (device.memory_bytes_per_second or np.inf) * self.efficiency.memory
        rate = device.flops_per_second(self.dtype) * self.efficiency.compute
        return [Way(max(self.flops / rate, self.bytes_moved / bandwidth), 1, None, 0.0, 0.0)]


def _place(operator: Prompt | Answer, device: Device) -> Deployment:
    if operator.tokens < 1:
        raise BadInput(f"an operator of {operator.tokens} tokens; give 1 or more")
    return Deployment(operator.model, device, dtype=operator.dtype, efficiency=operator.efficiency)


def _fitting(place: Deployment, seconds: float, batch: int, context: int) -> list[Way]:
    need = memory_bytes(place, batch, context)
    if not need.fits:
        return []
    resident = f"{place.model.name} in {place.dtype}"
    return [Way(seconds, batch, resident, need.weights, need.kv_cache + need.activations)]
