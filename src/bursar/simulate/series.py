"""`Series`: time-weighted means of what a replica holds, in a bounded number of bins of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST_BINS = 1024
_FIRST_WIDTH = 2.0**-6  # seconds; widths are powers of two, so that series can be added up


class Series:
    """Collects; `timeline` reads. Time starts at 0. Bins become twice as wide when they run out."""

    def __init__(self) -> None:
        self.width_seconds = _FIRST_WIDTH
        self._per_second = 1.0 / _FIRST_WIDTH
        self._running = [0.0] * MOST_BINS
        self._blocks = [0.0] * MOST_BINS
        self._waiting = [0.0] * MOST_BINS
        self._watts = [0.0] * MOST_BINS

    def add(
        self, start: float, end: float, running: int, blocks: float, waiting: int, watts: float
    ) -> None:
        """So much from `start` to `end` (seconds), beside what was added before."""
        last = int(end * self._per_second)
        while last >= MOST_BINS:
            self._widen()
            last = int(end * self._per_second)
        bin_ = int(start * self._per_second)
        while bin_ < last:
            edge = (bin_ + 1) * self.width_seconds
            self._put(bin_, edge - start, running, blocks, waiting, watts)
            start, bin_ = edge, bin_ + 1
        self._put(last, end - start, running, blocks, waiting, watts)

    def _put(
        self, bin_: int, seconds: float, running: int, blocks: float, waiting: int, watts: float
    ) -> None:
        self._running[bin_] += seconds * running
        self._blocks[bin_] += seconds * blocks
        self._waiting[bin_] += seconds * waiting
        self._watts[bin_] += seconds * watts

    def _widen(self) -> None:
        self.width_seconds *= 2.0
        self._per_second /= 2.0
        for column in (self._running, self._blocks, self._waiting, self._watts):
            halves = [a + b for a, b in zip(column[::2], column[1::2], strict=True)]
            column[:] = halves + [0.0] * (MOST_BINS - len(halves))

    def areas(self) -> Floats:
        """(4, bins) integrals over each bin of running jobs, blocks, waiting jobs and power."""
        return np.array([self._running, self._blocks, self._waiting, self._watts])


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """Means over bins of equal width, summed over replicas; bin i starts at i * `width_seconds`."""

    width_seconds: float
    until_seconds: float
    running: Floats
    """Admitted jobs."""
    blocks: Floats
    """Held blocks of KV cache."""
    waiting: Floats
    """Jobs in a queue."""
    watts: Floats | None
    """Power; None when no energy is known."""
    replicas: Floats
    """Replicas that are rented."""

    @property
    def seconds(self) -> Floats:
        """How long each bin is: all the same, but the last ends with the last answer."""
        seconds = np.full(len(self.running), self.width_seconds)
        seconds[-1] = self.until_seconds - (len(seconds) - 1) * self.width_seconds
        return seconds


def timeline(series: list[Series], rented: Floats, until: float, *, powered: bool) -> Timeline:
    """The sum of several series up to `until` (seconds); `powered`: whether power was added.

    `rented` (replicas, 2) has the seconds from and until which each replica was rented.
    """
    while len(widths := {one.width_seconds for one in series}) > 1:
        for one in series:
            if one.width_seconds < max(widths):
                one._widen()
    width = widths.pop()
    bins = min(int(until / width) + 1, MOST_BINS)
    areas = np.sum([one.areas() for one in series], axis=0)[:, :bins]
    lasts = np.full(bins, width)
    lasts[-1] = max(until - (bins - 1) * width, 1e-12)  # no division by zero where it is empty
    running, blocks, waiting, watts = areas / lasts
    edges = np.append(np.arange(bins) * width, until)
    present = np.clip(edges - rented[:, :1], 0.0, (rented[:, 1] - rented[:, 0])[:, None])
    replicas = np.diff(present.sum(axis=0)) / lasts
    return Timeline(width, until, running, blocks, waiting, watts if powered else None, replicas)
