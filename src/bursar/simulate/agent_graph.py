"""An agent's graph on virtual time: requests come, operators start when what they wait for is done.

A device runs what it has side by side: alone, an operator planned in a batch of b takes 1/b of the
device; when more than all of it is wanted, all slow down alike. No more than b of an operator are
on a device at once; others wait there in order of arrival.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from bursar.allocate.agent_graph import AgentGraph, GraphPlacement

Task = tuple[int, int]
"""(request, operator)."""


@dataclass(slots=True)
class _Device:
    seconds: dict[int, float]
    """Of each operator here, alone."""
    batch: dict[int, int]
    left: dict[Task, float] = field(default_factory=dict)
    """Seconds that each running task would still take alone."""
    waiting: deque[Task] = field(default_factory=deque)
    now: float = 0.0

    @property
    def wanted(self) -> float:
        """Share of the device that the running tasks would use."""
        return sum(1.0 / self.batch[operator] for _, operator in self.left)

    @property
    def queue(self) -> float:
        """Seconds of the whole device that are still to be done."""
        running = sum(left / self.batch[operator] for (_, operator), left in self.left.items())
        return running + sum(self.seconds[o] / self.batch[o] for _, o in self.waiting)

    def advance(self, now: float) -> None:
        done = (now - self.now) / max(self.wanted, 1.0)
        for task in self.left:
            self.left[task] -= done
        self.now = now

    def start(self) -> None:
        """Start those that wait and may."""
        for task in list(self.waiting):
            if sum(o == task[1] for _, o in self.left) < self.batch[task[1]]:
                self.waiting.remove(task)
                self.left[task] = self.seconds[task[1]]

    def next_end(self) -> tuple[float, Task | None]:
        if not self.left:
            return math.inf, None
        task = min(self.left, key=lambda task: (self.left[task], task))
        return self.now + self.left[task] * max(self.wanted, 1.0), task


def simulate_graph(
    graph: AgentGraph,
    placement: GraphPlacement,
    arrivals_s: NDArray[np.float64],
    *,
    link_bytes_per_second: float = 12.5e9,
) -> NDArray[np.float64]:
    """(requests,) seconds from each arrival until its last operator is done.

    A task joins the device of its tier with the least left to do.
    """
    fleet = [_devices(placement, tier, count) for tier, count in enumerate(placement.devices)]
    inputs = np.zeros(len(graph.operators), dtype=np.int64)
    for _, operator, _ in graph.edges:
        inputs[operator] += 1
    missing = np.tile(inputs, (len(arrivals_s), 1))
    ready = np.tile(arrivals_s[:, None], (1, len(inputs)))
    finished = np.zeros(len(arrivals_s))
    coming = [
        (float(at), request, int(operator))
        for request, at in enumerate(arrivals_s.tolist())
        for operator in np.flatnonzero(inputs == 0)
    ]
    heapify(coming)
    while True:
        busy = [device for tier in fleet for device in tier]
        ends = [device.next_end() for device in busy]
        first = min(range(len(busy)), key=lambda d: ends[d][0])
        end, task = ends[first]
        if coming and coming[0][0] <= end:
            at, request, operator = heappop(coming)
            tier = fleet[placement.tier[operator]]
            for device in tier:
                device.advance(at)
            target = min(tier, key=lambda device: device.queue)
            target.waiting.append((request, operator))
            target.start()
            continue
        if task is None:
            return finished - arrivals_s
        device = busy[first]
        device.advance(end)
        del device.left[task]
        device.start()
        request, operator = task
        finished[request] = max(finished[request], end)
        for start, following, sent in graph.edges:
            if start != operator:
                continue
            missing[request, following] -= 1
            apart = placement.tier[start] != placement.tier[following]
            arrival = end + apart * sent / link_bytes_per_second
            ready[request, following] = max(ready[request, following], arrival)
            if not missing[request, following]:
                heappush(coming, (float(ready[request, following]), request, following))


def _devices(placement: GraphPlacement, tier: int, count: int) -> list[_Device]:
    here = [i for i, t in enumerate(placement.tier) if t == tier]
    seconds = {i: placement.way[i].seconds for i in here}
    return [_Device(seconds, {i: placement.way[i].batch for i in here}) for _ in range(count)]
