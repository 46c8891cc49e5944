"""A window over weights that are too many for memory: a thread loads the next ones in time.

Blocks are used in order, pass after pass. A thread loads them in that order, as early as the window
has room, and the user gives each back when it is done with it. This is the real counterpart of
`bursar.simulate.offload.weight_stream`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

from bursar.errors import BadInput, Infeasible

T = TypeVar("T")


class WeightWindow(Generic[T]):
    """At most `window_bytes` of blocks in memory, also while they are being loaded.

    `load(i)` makes block i, of `sizes_bytes[i]`. When all blocks fit, each is loaded once and kept.
    With `ahead` a thread loads beside the user, else each block is loaded when it is asked for.
    Use as a context; raises `Infeasible` when a block does not fit.
    """

    def __init__(
        self,
        load: Callable[[int], T],
        sizes_bytes: Sequence[int],
        window_bytes: float,
        *,
        ahead: bool = True,
    ) -> None:
        if not sizes_bytes or min(sizes_bytes) < 0:
            raise BadInput(f"blocks of {list(sizes_bytes)} bytes: give at least one, none below 0")
        if max(sizes_bytes) > window_bytes:
            raise Infeasible(
                f"a block has {max(sizes_bytes)} bytes and the window {window_bytes:g}: "
                f"{max(sizes_bytes) - window_bytes:g} too few; widen it"
            )
        self.peak_bytes = 0
        self._load, self._sizes, self._window = load, list(sizes_bytes), window_bytes
        self._keeps = sum(sizes_bytes) <= window_bytes
        self._loaded: deque[T] = deque()
        self._held = self._next = self._used = 0
        self._error: BaseException | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True) if ahead else None

    def __enter__(self) -> WeightWindow[T]:
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        self._loaded.clear()

    @contextmanager
    def next_block(self) -> Iterator[T]:
        """The next block, after the last the first again; hold no reference to it afterwards."""
        index, place = self._used, self._used if self._keeps else 0
        self._used = (index + 1) % len(self._sizes)
        if self._thread is None and len(self._loaded) <= place:
            self._load_next()
        with self._changed:
            self._changed.wait_for(lambda: len(self._loaded) > place or self._error is not None)
            if len(self._loaded) <= place:
                assert self._error is not None
                raise self._error
            block = self._loaded[place] if self._keeps else self._loaded.popleft()
        try:
            yield block
        finally:
            del block
            if not self._keeps:
                with self._changed:
                    self._held -= self._sizes[index]
                    self._changed.notify_all()

    def _run(self) -> None:
        try:
            while not self._closed and not (self._keeps and len(self._loaded) == len(self._sizes)):
                self._load_next()
        except BaseException as error:  # the user's thread raises it
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _load_next(self) -> None:
        size = self._sizes[self._next]
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._held + size <= self._window)
            if self._closed:
                return
            self._held += size
            self.peak_bytes = max(self.peak_bytes, self._held)
        loaded = self._load(self._next)
        with self._changed:
            self._loaded.append(loaded)
            self._next = (self._next + 1) % len(self._sizes)
            self._changed.notify_all()
