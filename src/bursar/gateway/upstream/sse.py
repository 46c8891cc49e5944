"""Server-sent events: bytes in, cut anywhere, and the data of whole events out.

As https://html.spec.whatwg.org/multipage/server-sent-events.html has it, but strict: a line that is
no field of an event (a proxy's error page, say) is an error instead of being passed over.
"""

from __future__ import annotations

_FIELDS = frozenset({b"event", b"id", b"retry"})
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Garbage(Exception):
    """What came is not a stream of events, or one event is larger than allowed."""


class Events:
    """Cuts one stream into events. The names and numbers of events are not kept: data says all."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._line: list[bytes] = []
        """Pieces of a line whose end has not come."""
        self._data: list[bytes] = []
        """Data lines of an event whose end has not come."""
        self._line_bytes = self._data_bytes = 0
        self._after_cr = False
        self._begun = False
        self._garbage: Garbage | None = None

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that end in `piece`; nothing (b"") at the end of the stream.

        Raises `Garbage` once those before it have been handed out, however the bytes were cut.
        """
        if self._garbage:
            raise self._garbage
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]
            self._after_cr = False
        if not piece:
            return []
        self._after_cr = piece.endswith(b"\r")
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        done: list[bytes] = []
        try:
            self._cut(piece, done)
        except Garbage as garbage:
            self._garbage = garbage
            if not done:
                raise
        return done

    def _cut(self, piece: bytes, done: list[bytes]) -> None:
        *lines, rest = piece.split(b"\n")
        for line in lines:
            if self._line:
                line = b"".join([*self._line, line])
                self._line.clear()
                self._line_bytes = 0
            self._take(line, done)
        if rest:
            self._line.append(rest)
            self._line_bytes += len(rest)
            self._check_size()

    def _take(self, line: bytes, done: list[bytes]) -> None:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            if data := b"\n".join(self._data):
                done.append(data)
            self._data.clear()
            self._data_bytes = 0
        elif line.startswith(b"data:"):
            value = line[6:] if line.startswith(b"data: ") else line[5:]
            self._data.append(value)
            self._data_bytes += len(value) + 1
            self._check_size()
        elif line == b"data":
            self._data.append(b"")
        elif not line.startswith(b":") and line.partition(b":")[0] not in _FIELDS:
            raise Garbage("a line that is no field of an event")

    def _check_size(self) -> None:
        if self._line_bytes + self._data_bytes > self._most_bytes:
            raise Garbage(f"an event of more than {self._most_bytes} bytes")
