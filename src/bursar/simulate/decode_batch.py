"""The decoding jobs of a replica in closed form: any number of decode steps is one addition.

Each decode step adds a token to every job, so all that a job needs is the count of decode steps at
which it joined. Sums of contexts, blocks needed and the next completion follow from counters.
"""

from __future__ import annotations

from bisect import bisect_right
from heapq import heappop, heappush
from typing import NamedTuple


class Seat(NamedTuple):
    """A decoding job: the count of decode steps at which it joined, and what was cached then."""

    joined: int
    cached: int
    phase: int
    """It needs a block before decode steps phase, phase + block_tokens, ..."""
    entry: int
    """Tells its notes in the heaps from those of an earlier stay."""


class DecodeBatch:
    """Jobs by index; contexts by class of length, as in `StepTimes`."""

    def __init__(self, block_tokens: int, windows: tuple[int, ...]) -> None:
        self.block_tokens, self._windows = block_tokens, windows
        self.count = 0
        """Decode steps made."""
        self.seats: dict[int, Seat] = {}
        self.counts = [0] * (len(windows) + 1)
        self.contexts = [0] * (len(windows) + 1)
        self._phases = [0] * block_tokens
        # (count of decode steps, entry, index); notes of jobs that left are skipped when due
        self._finishes: list[tuple[int, int, int]] = []
        self._crossings: list[tuple[int, int, int]] = []
        self._entries = 0

    def join(self, index: int, cached: int, steps: int) -> None:
        """A job with `cached` tokens decodes from the next step on, `steps` steps."""
        self._entries += 1
        phase = (self.count - cached) % self.block_tokens
        self.seats[index] = Seat(self.count, cached, phase, self._entries)
        self._phases[phase] += 1
        heappush(self._finishes, (self.count + steps, self._entries, index))
        class_ = bisect_right(self._windows, cached)
        self.counts[class_] += 1
        self.contexts[class_] += cached
        self._note_crossing(self._entries, index, class_, cached)

    def leave(self, index: int) -> int:
        """Remove a job; returns how many tokens it has cached."""
        seat = self.seats.pop(index)
        context = seat.cached + self.count - seat.joined
        self._phases[seat.phase] -= 1
        class_ = bisect_right(self._windows, context)
        self.counts[class_] -= 1
        self.contexts[class_] -= context
        return context

    def cached(self, index: int) -> int:
        """Tokens that a job has cached."""
        seat = self.seats[index]
        return seat.cached + self.count - seat.joined

    def grows(self, index: int) -> bool:
        """Whether a job needs a block for its next step."""
        return self.seats[index].phase == self.count % self.block_tokens

    @property
    def growth(self) -> int:
        """Blocks needed for the next step."""
        return self._phases[self.count % self.block_tokens]

    def grown(self, steps: int) -> int:
        """Blocks needed for so many steps."""
        size, phases = self.block_tokens, self._phases
        cycles, rest = divmod(steps, size)
        first = self.count % size
        last = first + rest
        blocks = cycles * len(self.seats) + sum(phases[first:last])
        return blocks + sum(phases[: last - size]) if last > size else blocks

    def growth_events(self, steps: int) -> list[tuple[int, int]]:
        """(step from 0, index) for each block that the next so many steps need, in order."""
        size = self.block_tokens
        return sorted(
            (step, index)
            for index, seat in self.seats.items()
            for step in range((seat.phase - self.count) % size, steps, size)
        )

    def steps_within(self, free_blocks: int) -> int:
        """Steps until one is the last of a job's, changes a class or would lack a block."""
        size, steps = self.block_tokens, self._finishes[0][0] - self.count
        if self._crossings:
            steps = min(steps, self._crossings[0][0] - self.count)
        if len(self.seats) * (steps // size + 1) <= free_blocks:
            return steps
        cycles, left = divmod(free_blocks, len(self.seats))
        full = cycles * size
        while (left := left - self._phases[(self.count + full) % size]) >= 0:
            full += 1
        return min(steps, full)

    def forward(self, steps: int) -> list[int]:
        """Make so many steps, at most `steps_within`; returns the jobs whose last it was."""
        self.count += steps
        for class_, count in enumerate(self.counts):
            self.contexts[class_] += steps * count
        while self._crossings and self._crossings[0][0] <= self.count:
            self._cross(*heappop(self._crossings)[1:])
        due = []
        while self._finishes and self._finishes[0][0] <= self.count:
            _, entry, index = heappop(self._finishes)
            if self._is_current(entry, index):
                due.append(index)
        return due

    def _cross(self, entry: int, index: int) -> None:
        if self._is_current(entry, index):
            context = self.cached(index)
            class_ = bisect_right(self._windows, context)
            self.counts[class_ - 1] -= 1
            self.contexts[class_ - 1] -= context
            self.counts[class_] += 1
            self.contexts[class_] += context
            self._note_crossing(entry, index, class_, context)

    def _note_crossing(self, entry: int, index: int, class_: int, context: int) -> None:
        if class_ < len(self._windows):
            ahead = self._windows[class_] - context
            heappush(self._crossings, (self.count + ahead, entry, index))

    def _is_current(self, entry: int, index: int) -> bool:
        seat = self.seats.get(index)
        return seat is not None and seat.entry == entry
