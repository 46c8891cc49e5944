"""`HostLink`: caches on their way between a device and its host, one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from bursar.policies.batching import Job


@dataclass(slots=True)
class _Transfer:
    start: float
    end: float
    leaving: int
    """Blocks of the device that are in use until the end, though nobody holds them."""
    arriving: int
    """Blocks that somebody holds, though they are not in use before the start."""
    job: Job | None
    """Who is back on the device at the end."""


@dataclass(slots=True)
class Transfers:
    """What went over the links of one or several replicas."""

    operations: int = 0
    blocks_out: int = 0
    """To the host."""
    blocks_in: int = 0
    """To the device."""
    stalled_seconds: float = 0.0
    """How long steps waited for it."""

    @classmethod
    def total(cls, parts: Iterable[Transfers]) -> Transfers:
        """The sum of several."""
        rows = [astuple(part) for part in parts]
        return cls(*(sum(column) for column in zip(*rows, strict=True)))


class HostLink:
    """Transfers that steps need not wait for, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._under_way: deque[_Transfer] = deque()

    def send(self, now: float, seconds: float, blocks: int) -> None:
        """A cache leaves the device; its blocks have already been given back."""
        start = self._free_at(now)
        self._under_way.append(_Transfer(start, start + seconds, blocks, 0, None))

    def fetch(self, now: float, seconds: float, job: Job, blocks: int) -> None:
        """A cache comes to the device; its job has been given the blocks."""
        start = self._free_at(now)
        self._under_way.append(_Transfer(start, start + seconds, 0, blocks, job))

    def abandon(self, now: float, job: Job) -> None:
        """A job that is on its way back no longer wants its cache, and gives the blocks back."""
        for one in self._under_way:
            if one.job is job:
                one.leaving, one.arriving, one.job = one.arriving * (one.start <= now), 0, None

    def landed(self, now: float) -> list[Job]:
        """The jobs that are back, each told once."""
        jobs = []
        while self._under_way and self._under_way[0].end <= now:
            job = self._under_way.popleft().job
            if job is not None:
                jobs.append(job)
        return jobs

    @property
    def next_landing(self) -> float:
        """When the next job is back (seconds); one must be on its way."""
        return next(one.end for one in self._under_way if one.job is not None)

    def wait_for(self, blocks: int, free: int, now: float) -> tuple[float, int]:
        """(from when on so many of `free` blocks can be written to, how many can be then)."""
        for done, one in enumerate(self._under_way):
            room = self._room(free, done)
            if room >= blocks:
                return now, room
            now = max(now, one.end)
        return now, free

    def _room(self, free: int, done: int) -> int:
        """Free blocks that nothing uses, so many transfers being done, nor when others start."""
        room, later = free, 0
        for place in range(len(self._under_way) - 1, done - 1, -1):
            one = self._under_way[place]
            if one.arriving:
                room = min(room, free + later)
            later += one.arriving - one.leaving
        return room if self._under_way[done].arriving else min(room, free + later)

    def _free_at(self, now: float) -> float:
        return max(now, self._under_way[-1].end) if self._under_way else now
