"""A circuit breaker: an upstream that keeps failing is left alone, then tried with one call.

It is closed, until `most_failures` within `window_s`; then open, for a time that doubles with each
failure in a row; then half open: one call at a time goes through, and decides. What the upstream
asked to wait (`retry-after`) opens it at once, for that long.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from bursar.errors import BadInput

State = Literal["closed", "open", "half open"]


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a breaker opens, and for how long; seconds.

    It opens at `most_failures` within `window_s` among the last twice as many calls: a busy
    upstream that fails now and then stays open to all.
    """

    most_failures: int = 5
    window_s: float = 30.0
    open_s: float = 1.0
    most_open_s: float = 60.0

    def __post_init__(self) -> None:
        if self.most_failures < 1 or not 0 < self.open_s <= self.most_open_s or self.window_s <= 0:
            raise BadInput(
                f"breaker: most_failures = {self.most_failures}, window_s = {self.window_s}, "
                f"open_s = {self.open_s}, most_open_s = {self.most_open_s}; needs one failure or "
                "more, a window above 0, and 0 < open_s <= most_open_s"
            )


class Breaker:
    """Of one upstream. Times are the caller's, in seconds, and never go back."""

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._ends: deque[tuple[float, bool]] = deque(maxlen=2 * settings.most_failures)
        """When the last calls came back, and whether well."""
        self._times_opened = 0
        """In a row, without a success between."""
        self._open_until: float | None = None
        """None while closed."""
        self._asked_until = 0.0
        self._trying = False

    def state(self, now: float) -> State:
        """What it is at `now`."""
        if now < self._asked_until:
            return "open"
        if self._open_until is None:
            return "closed"
        return "open" if now < self._open_until else "half open"

    def open_s(self, now: float) -> float:
        """Seconds until a call may go through; 0 when one may."""
        return max(0.0, self._asked_until - now, (self._open_until or 0.0) - now)

    def lets_through(self, now: float) -> bool:
        """Whether a call may go to the upstream now."""
        state = self.state(now)
        return state == "closed" or (state == "half open" and not self._trying)

    def began(self, now: float) -> bool:
        """A call goes to the upstream. Whether it is the one that decides: tell `ended`."""
        decides = self.state(now) == "half open" and not self._trying
        self._trying = self._trying or decides
        return decides

    def ended(
        self, now: float, *, well: bool | None, decides: bool, asked_s: float | None = None
    ) -> None:
        """A call has come back; `well` None when that says nothing of the upstream.

        `asked_s` is how long the upstream asked to be left alone.
        """
        if decides:
            self._trying = False
        if well and decides:
            self._open_until, self._times_opened = None, 0
            self._ends.clear()
        if well:
            self._ends.append((now, True))
        elif well is False:
            self._fail(now)
        if asked_s:
            self._asked_until = max(self._asked_until, now + asked_s)

    def probed(self, now: float, *, well: bool) -> None:
        """A health check has come back. After a good one the next call may try."""
        if not well:
            self._fail(now)
        elif self._open_until is not None:
            self._open_until = min(self._open_until, now)

    def _fail(self, now: float) -> None:
        settings, state = self._settings, self.state(now)
        self._ends.append((now, False))
        failed = sum(not well and now - at <= settings.window_s for at, well in self._ends)
        if state == "open" or not (state == "half open" or failed >= settings.most_failures):
            return  # calls that were under way when it opened add nothing
        doubled = settings.open_s * 2.0 ** min(self._times_opened, 60)
        self._times_opened += 1
        self._open_until = now + min(settings.most_open_s, doubled)
