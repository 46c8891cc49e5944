"""Tasks on exclusive lanes: `run_lanes(tasks)` says when each one starts and ends.

A lane (CPU, GPU, PCIe, disk, ...) does one task at a time. A free lane begins the first of its
tasks, in the order given, whose predecessors are done; if the memory that task takes is not free,
the lane waits for it and lets nothing pass. Lanes that are free at once take memory in that order
too. Tasks without a lane only let time pass (a link's latency, say), as many at once as there are.
No choice is left open, so the same tasks give the same times.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bursar.errors import BadInput, Infeasible

_ROUNDING = 1e-9  # relative: sums of bytes in another order may differ by this much


@dataclass(frozen=True, slots=True)
class Task:
    """`seconds` of work on `lane`, once the tasks at the positions in `after` are done.

    It takes `takes_bytes` of memory when it begins and gives back `frees_bytes` when it ends;
    what it took and did not give back is held until another task gives it back.
    """

    lane: str | None
    seconds: float
    after: tuple[int, ...] = ()
    takes_bytes: float = 0.0
    frees_bytes: float = 0.0
    name: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """What happened. Arrays have one entry per task."""

    start_seconds: NDArray[np.float64]
    finish_seconds: NDArray[np.float64]
    peak_bytes: float
    held_bytes: float
    """At the end."""

    @property
    def makespan_seconds(self) -> float:
        """When the last task ends."""
        return float(self.finish_seconds.max(initial=0.0))


def run_lanes(
    tasks: Sequence[Task], *, memory_bytes: float = math.inf, held_bytes: float = 0.0
) -> Schedule:
    """The schedule of `tasks`, never holding more than `memory_bytes`.

    `held_bytes` are held from the beginning. Raises `BadInput` for a task that can't be (negative
    or endless, or after one that does not stand before it) and `Infeasible` when every task left
    waits for memory that nobody will give back.
    """
    _check(tasks, memory_bytes, held_bytes)
    followers: list[list[int]] = [[] for _ in tasks]
    waits_for = [len(set(task.after)) for task in tasks]
    for index, task in enumerate(tasks):
        for before in set(task.after):
            followers[before].append(index)

    start, finish = np.zeros(len(tasks)), np.zeros(len(tasks))
    lane_of = {index: task.lane for index, task in enumerate(tasks) if task.lane is not None}
    ready: dict[str, list[int]] = {lane: [] for lane in lane_of.values()}
    free_lanes = set(ready)
    delays: list[int] = []
    ends: list[tuple[float, int]] = []
    slack = memory_bytes * _ROUNDING if math.isfinite(memory_bytes) else 0.0
    now, held, peak, done = 0.0, held_bytes, held_bytes, 0

    def arrive(index: int) -> None:
        heapq.heappush(ready[lane_of[index]] if index in lane_of else delays, index)

    def begin(index: int) -> None:
        nonlocal held, peak
        start[index] = now
        held += tasks[index].takes_bytes
        peak = max(peak, held)
        heapq.heappush(ends, (now + tasks[index].seconds, index))

    def fits(index: int) -> bool:
        takes = tasks[index].takes_bytes
        return takes == 0.0 or held + takes <= memory_bytes + slack

    for index, count in enumerate(waits_for):
        if not count:
            arrive(index)
    while done < len(tasks):
        while delays and fits(delays[0]):
            begin(heapq.heappop(delays))
        for index in sorted(ready[lane][0] for lane in free_lanes if ready[lane]):
            if fits(index):
                begin(heapq.heappop(ready[lane_of[index]]))
                free_lanes.remove(lane_of[index])
        if not ends:
            waiting = min(delays[:1] + [queue[0] for queue in ready.values() if queue])
            raise Infeasible(_stuck(tasks[waiting], waiting, held, memory_bytes))
        now = ends[0][0]
        while ends and ends[0][0] <= now:
            _, index = heapq.heappop(ends)
            finish[index] = now
            held -= tasks[index].frees_bytes
            done += 1
            if index in lane_of:
                free_lanes.add(lane_of[index])
            for follower in followers[index]:
                waits_for[follower] -= 1
                if not waits_for[follower]:
                    arrive(follower)
    return Schedule(start, finish, peak, held)


def lane_seconds(tasks: Sequence[Task]) -> dict[str, float]:
    """Seconds of work by lane. No schedule is shorter than the largest."""
    work: dict[str, float] = {}
    for task in tasks:
        if task.lane is not None:
            work[task.lane] = work.get(task.lane, 0.0) + task.seconds
    return work


def critical_path_seconds(tasks: Sequence[Task]) -> float:
    """Seconds of the longest chain of tasks. No schedule is shorter."""
    chain = [0.0] * len(tasks)
    for index, task in enumerate(tasks):
        chain[index] = task.seconds + max((chain[before] for before in task.after), default=0.0)
    return max(chain, default=0.0)


def _check(tasks: Sequence[Task], memory_bytes: float, held_bytes: float) -> None:
    if not 0 <= held_bytes <= memory_bytes:
        raise BadInput(f"{held_bytes} bytes held of {memory_bytes}: must be within 0 and the limit")
    for index, task in enumerate(tasks):
        said = f"task {index} {task.name!r}"
        for name in ("seconds", "takes_bytes", "frees_bytes"):
            if not 0 <= getattr(task, name) < math.inf:
                raise BadInput(f"{said}: {name} is {getattr(task, name)}, must be finite and >= 0")
        if any(not 0 <= before < index for before in task.after):
            raise BadInput(f"{said} comes after {task.after}: name only tasks that stand before it")


def _stuck(task: Task, index: int, held: float, memory_bytes: float) -> str:
    return (
        f"task {index} {task.name!r} takes {task.takes_bytes:g} bytes with {held:g} of "
        f"{memory_bytes:g} held and nothing left that gives any back: "
        f"{held + task.takes_bytes - memory_bytes:g} too little; raise the limit"
    )
