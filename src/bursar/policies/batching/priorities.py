"""Whose turn it is: priorities as the requests have them, or taking turns so that all are served.

The second are those with which FastSwitch (arXiv:2411.18424, section 4) measures what context
switches cost: known beforehand, the same for every engine, drawn anew for each conversation in
each period ("random"), or kept from period to period with some probability ("Markov").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from bursar.errors import BadInput
from bursar.policies.batching.base import Job


class Priorities(Protocol):
    """A priority for each job at each moment; the smaller is the more urgent."""

    def of(self, job: Job, now: float) -> int:
        """The job's priority at second `now`."""
        ...

    def until(self, now: float) -> float:
        """The first second after `now` at which a priority may change; infinity for never."""
        ...


@dataclass(frozen=True, slots=True)
class GivenPriorities:
    """Those that the requests came with."""

    def of(self, job: Job, now: float) -> int:
        """See `Priorities.of`."""
        return job.priority

    def until(self, now: float) -> float:
        """See `Priorities.until`."""
        return math.inf


@dataclass(frozen=True, slots=True)
class DrawnPriorities:
    """One of `levels` for each conversation, or job outside of one, in each period.

    stay    chance that it is what it was in the period before
    """

    period_seconds: float
    levels: int = 8
    stay: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.period_seconds > 0 and self.levels >= 1 and 0 <= self.stay < 1):
            raise BadInput(
                f"period_seconds = {self.period_seconds}, levels = {self.levels}, stay = "
                f"{self.stay}; must be above 0, 1 or more, and at least 0 but below 1"
            )

    def of(self, job: Job, now: float) -> int:
        """See `Priorities.of`."""
        period = int(now // self.period_seconds)
        who = job.conversation if job.conversation >= 0 else ~job.index
        while period and self._draw(who, period, 0) < self.stay:
            period -= 1
        return int(self._draw(who, period, 1) * self.levels)

    def until(self, now: float) -> float:
        """See `Priorities.until`."""
        end = (now // self.period_seconds + 1.0) * self.period_seconds
        return end if end > now else end + self.period_seconds

    def _draw(self, who: int, period: int, what: int) -> float:
        """Evenly from 0 to 1, always the same for the same arguments."""
        mixed = 0
        for number in (self.seed, who, period, what):  # splitmix64's finish, number by number
            mixed = (mixed + number + 0x9E3779B97F4A7C15) & _BITS
            mixed = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9) & _BITS
            mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & _BITS
            mixed ^= mixed >> 31
        return mixed / 2.0**64


_BITS = 2**64 - 1
