"""`SharedDevice`: how fast operations run that share one device's units, memory and link.

Fluid sharing: an operation advances at the pace of its scarcest resource. Arithmetic is divided by
units. Bandwidth belongs to all: some of the units are enough to use all of it, and operations
that together want more get max-min fair parts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bursar.cost.deployment import Deployment
from bursar.errors import BadInput

_ROUNDING = 1e-12  # of an operation: what is left below this is done


@dataclass(frozen=True, slots=True)
class Operation:
    """Amounts of work, and how they may be run.

    `units` is the largest share of the device's units that it takes, in (0, 1]; those that run at
    once and want more than there is get max-min fair parts. Operations of one `lane` run
    one at a time, in the order of the list; `after` are positions in it of those that must be
    done first. `latency_seconds` pass before it uses anything.
    """

    flops: float = 0.0
    bytes: float = 0.0
    link_bytes: float = 0.0
    latency_seconds: float = 0.0
    units: float = 1.0
    lane: str = ""
    after: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Played:
    """When each operation began and was done (seconds), by position."""

    starts: tuple[float, ...]
    ends: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Until the last is done."""
        return max(self.ends, default=0.0)


@dataclass(frozen=True, slots=True)
class SharedDevice:
    """Rates that are reached with all units, and how they depend on the share of units.

    `memory_units`, `link_units`: the share of the units that is enough for the whole bandwidth;
    below it bandwidth is in proportion. `interference`: share of the memory bandwidth that is lost
    while more than one operation uses it. The defaults of these three are assumptions, not
    measured. Raises `BadInput` for what no device can be.
    """

    flops_per_second: float
    bytes_per_second: float
    link_bytes_per_second: float = math.inf
    memory_units: float = 0.5
    link_units: float = 0.4
    interference: float = 0.1

    def __post_init__(self) -> None:
        for name in ("flops_per_second", "bytes_per_second", "link_bytes_per_second"):
            if not getattr(self, name) > 0:
                raise BadInput(f"{name} = {getattr(self, name)}; must be above 0")
        for name in ("memory_units", "link_units"):
            if not 0 < getattr(self, name) <= 1:
                raise BadInput(f"{name} = {getattr(self, name)}; must be in (0, 1]")
        if not 0 <= self.interference < 1:
            raise BadInput(f"interference = {self.interference}; must be in [0, 1)")

    def seconds_alone(self, operation: Operation) -> float:
        """How long an operation takes with nothing beside it."""
        return operation.latency_seconds + 1.0 / self.speeds([operation])[0]

    def bound_seconds(self, operations: Sequence[Operation]) -> float:
        """No schedule is faster: the scarcest resource is used all the time."""
        return max(
            sum(x.flops for x in operations) / self.flops_per_second,
            sum(x.bytes for x in operations) / self.bytes_per_second,
            sum(x.link_bytes for x in operations) / self.link_bytes_per_second,
        )

    def speeds(self, running: Sequence[Operation]) -> list[float]:
        """How much of each is done in a second while all of them run and none is in latency."""
        if len(running) == 1:
            return [self._alone(running[0], running[0].units)]
        units = fair_parts([x.units for x in running], 1.0)
        speeds = [self._alone(x, part) for x, part in zip(running, units, strict=True)]
        sharing = sum(x.bytes > 0 for x in running) > 1
        memory = self.bytes_per_second * (1.0 - self.interference * sharing)
        by_memory = _shared(speeds, [x.bytes for x in running], memory)
        return _shared(by_memory, [x.link_bytes for x in running], self.link_bytes_per_second)

    def _alone(self, operation: Operation, units: float) -> float:
        """Speed with so many units when nobody else wants bandwidth."""
        seconds = max(
            operation.flops / (units * self.flops_per_second),
            operation.bytes / (min(1.0, units / self.memory_units) * self.bytes_per_second),
            operation.link_bytes / (min(1.0, units / self.link_units) * self.link_bytes_per_second),
        )
        return 1.0 / seconds if seconds > 0 else math.inf

    def play(self, operations: Sequence[Operation]) -> Played:
        """Run all, each as soon as its lane is free and those that it comes after are done.

        Raises `BadInput` when some wait for one another.
        """
        count = len(operations)
        starts, ends = [math.nan] * count, [math.inf] * count
        latency = [x.latency_seconds for x in operations]
        left = [1.0] * count
        waiting: dict[str, list[int]] = {}
        for place, operation in enumerate(operations):
            waiting.setdefault(operation.lane, []).append(place)
        running: dict[str, int] = {}
        now, done = 0.0, 0
        while done < count:
            for lane, queue in waiting.items():
                if lane not in running:
                    ready = (x for x in queue if all(ends[y] <= now for y in operations[x].after))
                    if (first := next(ready, None)) is not None:
                        queue.remove(first)
                        running[lane], starts[first] = first, now
            if not running:
                raise BadInput("operations wait for one another; `after` must have no circle")
            active = [x for x in running.values() if latency[x] <= 0]
            speeds = dict(zip(active, self.speeds([operations[x] for x in active]), strict=True))
            step = min(left[x] / speeds[x] if x in speeds else latency[x] for x in running.values())
            now += step
            for lane, place in list(running.items()):
                if place not in speeds:
                    latency[place] = 0.0 if latency[place] <= step else latency[place] - step
                    continue
                left[place] -= speeds[place] * step if math.isfinite(speeds[place]) else 1.0
                if left[place] <= _ROUNDING:
                    ends[place] = now
                    del running[lane]
                    done += 1
        return Played(tuple(starts), tuple(ends))


def fair_parts(wanted: Sequence[float], capacity: float) -> list[float]:
    """Max-min fair: who wants little gets it, the others equal parts of what is left."""
    parts, left = list(wanted), capacity
    if sum(wanted) <= capacity:
        return parts
    order = sorted(range(len(parts)), key=parts.__getitem__)
    for rank, i in enumerate(order):
        parts[i] = min(parts[i], left / (len(order) - rank))
        left -= parts[i]
    return parts


def _shared(speeds: list[float], amounts: list[float], capacity: float) -> list[float]:
    """Speeds when operations need so much of a resource that there is too little of."""
    wanted = [s * a if a > 0 else 0.0 for s, a in zip(speeds, amounts, strict=True)]
    parts = fair_parts(wanted, capacity)
    return [s * p / w if w > 0 else s for s, p, w in zip(speeds, parts, wanted, strict=True)]


def shared_device(deployment: Deployment) -> SharedDevice:
    """One device of a deployment, at the rates that its efficiency says are reached."""
    device, reached = deployment.device, deployment.reached
    return SharedDevice(
        flops_per_second=device.flops_per_second(deployment.dtype) * reached.compute,
        bytes_per_second=(device.memory_bytes_per_second or math.nan) * reached.memory,
        link_bytes_per_second=(device.link_bytes_per_second or math.inf) / 2.0 * reached.link,
    )
