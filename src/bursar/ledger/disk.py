"""Behind: commits that return before they are on disk, and the thread that puts them there.

With ``synchronous=NORMAL`` a commit is in SQLite's write-ahead log once the operating system has
it: it survives the end of the process, by `kill -9` too, but not the end of power. One fsync of the
log then covers all that was committed before it, by whomever.

SQLite itself syncs the log before it moves anything from there into the database, and the database
before it writes the log anew from its beginning; and who closes last moves everything and removes
the log. So what is no longer in the log is on disk.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from bursar.errors import BadInput

T = TypeVar("T")

IDLE_S = 1.0
"""What nobody waits for is on disk after this long."""


class Behind(Generic[T]):
    """Syncs the log at `path`, with one fsync for all who wait, then calls `tell` for them.

    `tell` is called in this thread, with why not if it could not be done.
    """

    def __init__(self, path: str, tell: Callable[[Sequence[T], BadInput | None], None]) -> None:
        self._path, self._tell = path, tell
        self._change = threading.Condition()
        self._dirty = self._closing = False
        self._waiting: list[T] = []
        self._failure: BadInput | None = None
        self._thread = threading.Thread(target=self._sync, name="bursar-ledger-disk", daemon=True)
        self._thread.start()

    def committed(self, waiting: Sequence[T]) -> None:
        """Something was committed; `waiting` are told when it is on disk."""
        with self._change:
            self._dirty = True
            self._waiting += waiting
            self._change.notify()

    def wait(self, one: T) -> None:
        """`one` is told when all that was committed is on disk."""
        with self._change:
            self._waiting.append(one)
            self._change.notify()

    def close(self) -> None:
        """Sync what is left, then end the thread."""
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join()

    def _sync(self) -> None:
        ended = False
        while not ended:
            with self._change:
                self._change.wait_for(lambda: self._dirty or self._pressing())
                self._change.wait_for(self._pressing, IDLE_S)
                waiting, self._waiting = self._waiting, []
                dirty, self._dirty = self._dirty, False
                ended = self._closing
            if dirty and self._failure is None:
                self._failure = self._on_disk()
            if waiting:
                self._tell(waiting, self._failure)

    def _pressing(self) -> bool:
        return bool(self._waiting) or self._closing

    def _on_disk(self) -> BadInput | None:
        """One fsync. After a failure nobody knows what is on disk, and no later one mends that."""
        try:
            # Opened anew: another file may have this name since the last time.
            log = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        except OSError as error:
            return self._said(error)
        try:
            _put_on_disk(log)
        except OSError as error:
            return self._said(error)
        finally:
            os.close(log)
        return None

    def _said(self, error: OSError) -> BadInput:
        return BadInput(
            f"{self._path} can't be put on disk: {error.strerror}; what was committed may be lost "
            "if the power fails. Check the disk, then open the ledger again"
        )


_put_on_disk = getattr(os, "fdatasync", os.fsync)
