"""Where the experts of a mixture-of-experts layer run, and which of them stay on the GPU.

A layer has some experts' weights on the GPU and all of them in the CPU's memory. An expert that
tokens were routed to runs on the GPU, on the CPU, or on the GPU once PCIe has brought its weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bursar.errors import BadInput
from bursar.price import Price

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ExpertTimes:
    """Seconds that one expert takes: at least to read its weights, then in proportion to tokens."""

    cpu_read_seconds: float
    cpu_token_seconds: float
    gpu_read_seconds: float
    gpu_token_seconds: float
    transfer_seconds: float
    """Its weights over PCIe."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) >= 0:
                raise BadInput(f"{field.name} is {getattr(self, field.name)}, it must be 0 or more")

    def cpu_seconds(self, tokens: int) -> float:
        """On the CPU."""
        return max(self.cpu_read_seconds, tokens * self.cpu_token_seconds)

    def gpu_seconds(self, tokens: int) -> float:
        """On the GPU, its weights being there."""
        return max(self.gpu_read_seconds, tokens * self.gpu_token_seconds)


class RoutedExpert(NamedTuple):
    """An expert that `tokens` were routed to."""

    expert: int
    tokens: int
    on_gpu_seconds: float
    """From now until its weights are on the GPU: 0 when they are, inf when nobody brings them."""


@dataclass(frozen=True, slots=True)
class RoutedLayer:
    """What a split policy sees of a layer, when its gate has spoken."""

    experts: tuple[RoutedExpert, ...]
    times: ExpertTimes
    pcie_free_seconds: float = 0.0
    """From now until PCIe is done with what it has begun; below 0 when it is idle since then."""


@dataclass(frozen=True, slots=True)
class Split:
    """Who computes which expert, in which order; every routed expert is on one of `cpu`, `gpu`."""

    cpu: tuple[int, ...]
    gpu: tuple[int, ...]
    transfers: tuple[int, ...]
    """Those of `gpu` that PCIe brings, in order."""
    seconds: float
    """Until the last one is computed."""


class SplitPolicy(Protocol):
    """Decides where a layer's experts run."""

    def decide(self, state: RoutedLayer, now: float, price: Price) -> Split:
        """The split. Pure: the same layer gives the same answer."""
        ...


class RetentionPolicy(Protocol):
    """Values experts for staying on the GPU; who is worth least goes first."""

    def values(self, before: Floats, scores: Floats, used: Bools, now: float) -> Floats:
        """Values (experts,) after a step of one layer, from those before it.

        `scores` (experts,) of the gate, summed over the step's tokens; `used` (experts,) those
        that tokens were routed to; `now` counts steps. All are 0 before the first step.
        """
        ...


class Timeline:
    """Times of a layer while its experts are being placed, one after the other."""

    def __init__(self, layer: RoutedLayer) -> None:
        self._times = layer.times
        self._arrived = {x.expert: x.on_gpu_seconds for x in layer.experts}
        self._cpu_free = self._gpu_free = 0.0
        self._pcie_free = max(layer.pcie_free_seconds, 0.0)
        self._cpu: list[int] = []
        self._gpu: list[int] = []
        self._transfers: list[int] = []

    def cpu_finish(self, expert: RoutedExpert) -> float:
        """When the CPU would be done with it."""
        return self._cpu_free + self._times.cpu_seconds(expert.tokens)

    def gpu_finish(self, expert: RoutedExpert) -> float:
        """When the GPU would be done with it, its weights brought first if need be."""
        arrived = self._arrived[expert.expert]
        if arrived == np.inf:
            arrived = self._pcie_free + self._times.transfer_seconds
        return max(self._gpu_free, arrived) + self._times.gpu_seconds(expert.tokens)

    def put_on_cpu(self, expert: RoutedExpert) -> None:
        """Next on the CPU."""
        self._cpu_free = self.cpu_finish(expert)
        self._cpu.append(expert.expert)

    def put_on_gpu(self, expert: RoutedExpert) -> None:
        """Next on the GPU; over PCIe first if its weights are not there or on their way."""
        finish = self.gpu_finish(expert)
        if self._arrived[expert.expert] == np.inf:
            self._pcie_free += self._times.transfer_seconds
            self._transfers.append(expert.expert)
        self._gpu_free = finish
        self._gpu.append(expert.expert)

    def split(self) -> Split:
        """Where all were put."""
        seconds = max(self._cpu_free, self._gpu_free)
        return Split(tuple(self._cpu), tuple(self._gpu), tuple(self._transfers), seconds)


def split_by(layer: RoutedLayer, on_cpu: Iterable[int]) -> Split:
    """The best split with exactly the experts `on_cpu` on the CPU.

    The GPU takes what is there first, then what arrives, the longest first: with transfers of
    equal length no order ends earlier (Johnson's rule for two machines).
    """
    chosen = set(on_cpu)
    line = Timeline(layer)
    for x in sorted(layer.experts, key=lambda x: (x.on_gpu_seconds, -x.tokens, x.expert)):
        if x.expert in chosen:
            line.put_on_cpu(x)
        else:
            line.put_on_gpu(x)
    return line.split()
