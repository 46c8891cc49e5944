"""A client of few parts, so that the load it makes costs little: one kept connection, one request
at a time, and it may leave in the middle."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

PATH = "/v1/chat/completions"


class Broken(Exception):
    """The server closed the connection before its answer had ended."""


@dataclass(slots=True)
class Answer:
    """`left`: the client went away, and `content` is what had come by then."""

    status: int
    head: bytes
    content: bytes
    left: bool = False

    def header(self, name: str) -> str:
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.decode().lower() == name:
                return value.strip().decode()
        return ""


class Connection:
    """To host and port; opened when it is needed."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._host, self._port = host, port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def post(
        self, content: bytes, headers: str = "", leave_after_s: float | None = None
    ) -> Answer:
        """What came back. `headers` end in CRLF. Raises `Broken`; then it can be used again."""
        lines = f"POST {PATH} HTTP/1.1\r\nhost: {self._host}\r\ncontent-type: application/json\r\n"
        lines += f"{headers}content-length: {len(content)}\r\n\r\n"
        try:
            if self._writer is None:
                opening = asyncio.open_connection(self._host, self._port, limit=1 << 22)
                self._reader, self._writer = await opening
            self._writer.write(lines.encode() + content)
            if leave_after_s is None:
                return await self._answer()
            try:
                async with asyncio.timeout(leave_after_s):
                    return await self._answer()
            except TimeoutError:
                self.close()
                return Answer(0, b"", b"", left=True)
        except (OSError, EOFError) as error:
            self.close()
            raise Broken(type(error).__name__) from None

    async def _answer(self) -> Answer:
        assert self._reader is not None
        head = await self._reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        at = lower.find(b"content-length:")
        if at >= 0:
            length = int(lower[at + 15 : lower.find(b"\r\n", at)])
            content = await self._reader.readexactly(length)
        else:
            content = await self._pieces()
        if b"connection: close" in lower:
            self.close()
        return Answer(int(head[9:12]), head, content)

    async def _pieces(self) -> bytes:
        assert self._reader is not None
        found = []
        while True:
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            piece = await self._reader.readexactly(size + 2)
            if not size:
                return b"".join(found)
            found.append(piece[:-2])

    def close(self) -> None:
        """Go away, at once."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None
