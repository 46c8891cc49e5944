"""`Lane`: a step that advances operation by operation, at a speed that others decide."""

from typing import NamedTuple

from bursar.policies.partitioning import Work


class LaneStep(NamedTuple):
    """A step as it began, and how long it took: what a latency model can be held against."""

    prefill: bool
    prefill_units: float
    prefill_work: Work
    decode_work: Work
    seconds: float


class Lane:
    """The step that a lane runs: where it is among its operations."""

    def __init__(self) -> None:
        self.work: Work = ()
        self.place, self.left, self.latency, self.began = 0, 1.0, 0.0, 0.0
        self.beside: tuple[float, Work, Work] | None = None
        """What both lanes ran when the step began; None if the other had nothing."""

    @property
    def busy(self) -> bool:
        """Whether it has a step that is not done."""
        return self.place < len(self.work)

    def begin(self, work: Work, now: float) -> None:
        """A step begins now (seconds)."""
        self.work, self.place, self.began = work, 0, now
        self._enter()

    def seconds_left(self, speed: float) -> float:
        """Until its operation, or the latency before it, is over."""
        return self.latency if self.latency > 0 else self.left / speed

    def forward(self, seconds: float, speed: float) -> None:
        """Time passes at this speed; in latency (speed 0) only that runs out."""
        if self.latency > 0:
            self.latency = self.latency - seconds if self.latency > seconds * (1 + 1e-12) else 0.0
            return
        self.left -= seconds * speed
        if self.left <= 1e-12:
            self.place += 1
            if self.busy:
                self._enter()

    def _enter(self) -> None:
        self.left, self.latency = 1.0, self.work[self.place].latency_seconds
