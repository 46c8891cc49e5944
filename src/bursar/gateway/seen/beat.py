"""A thread that does one thing again and again, and once more at the end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_LOG = logging.getLogger("bursar.gateway")


class Beat:
    """Runs `act` every `every_s` seconds, or as soon as it is nudged, until closed.

    Failing is logged, once for each different failure in a row, and does not end it.
    """

    def __init__(self, name: str, every_s: float, act: Callable[[], None]) -> None:
        self._every_s, self._act = every_s, act
        self._due, self._closed, self._said = threading.Event(), False, ""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def nudge(self) -> None:
        """Now rather than later."""
        self._due.set()

    def close(self) -> None:
        """Act once more, then end."""
        self._closed = True
        self._due.set()
        self._thread.join()

    def _run(self) -> None:
        last = False
        while not last:
            self._due.wait(self._every_s)
            self._due.clear()
            last = self._closed
            try:
                self._act()
                self._said = ""
            except Exception as failure:
                if (said := f"{type(failure).__name__}: {failure}") != self._said:
                    _LOG.error("%s: %s", self._thread.name, said)
                self._said = said
