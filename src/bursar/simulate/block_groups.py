"""`BlockGroups`: where in a device's memory each job's blocks lie, in groups of neighbours.

A job that needs blocks gets a group of at least `group_blocks` neighbours when there are so many,
uses its blocks one after the other, and keeps the rest in reserve; when no blocks are left over,
the longest reserve is cut in half. So every block can be used, and few copies move a whole cache.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import NamedTuple


class _Run(NamedTuple):
    start: int
    length: int


class BlockGroups:
    """Runs of neighbouring blocks by job; nobody may hold more blocks than there are."""

    def __init__(self, blocks: int, group_blocks: int) -> None:
        self._group = group_blocks
        self._free = [_Run(0, blocks)]
        """By start; no two touch."""
        self._runs: dict[int, list[_Run]] = {}
        """By index of a job: what it uses, in the order of its tokens."""
        self._reserve: dict[int, _Run] = {}
        """What follows a job's last run."""

    def take(self, index: int, blocks: int) -> None:
        """A job uses so many more blocks."""
        while blocks:
            if index not in self._reserve:
                self._reserve[index] = self._new_group(max(blocks, self._group))
            start, length = self._reserve.pop(index)
            used = min(blocks, length)
            self._use(index, _Run(start, used))
            if used < length:
                self._reserve[index] = _Run(start + used, length - used)
            blocks -= used

    def release(self, index: int) -> None:
        """A job uses none any more."""
        for run in self._runs.pop(index, []):
            self._give_back(run)
        if index in self._reserve:
            self._give_back(self._reserve.pop(index))

    def operations(self, index: int, first: int, last: int) -> int:
        """Copies that move a job's blocks `first` to `last` - 1, counted from its first token."""
        copies = begin = 0
        for run in self._runs[index]:
            copies += begin < last and begin + run.length > first
            begin += run.length
        return copies

    def _use(self, index: int, run: _Run) -> None:
        runs = self._runs.setdefault(index, [])
        if runs and runs[-1].start + runs[-1].length == run.start:
            run = _Run(runs[-1].start, runs.pop().length + run.length)
        runs.append(run)

    def _new_group(self, blocks: int) -> _Run:
        """The start of the shortest free run that is long enough, else of the longest."""
        if not self._free:
            return self._stolen()
        enough = [run for run in self._free if run.length >= blocks]
        run = (
            min(enough, key=lambda run: run.length)
            if enough
            else max(self._free, key=lambda run: run.length)
        )
        place = bisect_left(self._free, run)
        taken = min(blocks, run.length)
        if taken < run.length:
            self._free[place] = _Run(run.start + taken, run.length - taken)
        else:
            del self._free[place]
        return _Run(run.start, taken)

    def _stolen(self) -> _Run:
        index = max(self._reserve, key=lambda index: (self._reserve[index].length, -index))
        start, length = self._reserve.pop(index)
        if kept := length // 2:
            self._reserve[index] = _Run(start, kept)
        return _Run(start + kept, length - kept)

    def _give_back(self, run: _Run) -> None:
        place = bisect_left(self._free, run)
        if place < len(self._free) and run.start + run.length == self._free[place].start:
            run = _Run(run.start, run.length + self._free.pop(place).length)
        if place and self._free[place - 1].start + self._free[place - 1].length == run.start:
            before = self._free.pop(place - 1)
            run = _Run(before.start, before.length + run.length)
        insort(self._free, run)
