"""A server on loopback that says exactly the bytes it is told to, and knows who hung up on it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from bursar.gateway.upstream import Call


@dataclass
class Asked:
    """One request, and the connection it came on."""

    path: str
    headers: dict[str, str]
    body: dict
    connection: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def json(self, document, status="200 OK", **headers) -> None:
        data = json.dumps(document).encode()
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        await self.say(
            f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{more}"
            f"content-length: {len(data)}\r\n\r\n".encode()
            + data
        )

    async def begin_stream(self) -> None:
        await self.say(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )

    async def piece(self, data: bytes) -> None:
        await self.say(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def event(self, document) -> None:
        await self.piece(b"data: " + json.dumps(document).encode() + b"\n\n")

    async def end_stream(self) -> None:
        await self.say(b"0\r\n\r\n")

    async def hung_up(self) -> bool:
        """Waits for the client to hang up."""
        with suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(1), 5) == b""
        return True


Answer = Callable[[Asked], Awaitable[None]]


@dataclass
class Loopback:
    url: str
    asked: list[Asked] = field(default_factory=list)
    broken: list[BaseException] = field(default_factory=list)
    """What the answers raised."""


@asynccontextmanager
async def loopback(answer: Answer) -> AsyncIterator[Loopback]:
    """Serves until its end. A connection is closed when an answer raises `ConnectionError`."""
    seen = Loopback("")
    tasks: set[asyncio.Task[None]] = set()
    count = 0

    async def serve(reader, writer):
        nonlocal count
        tasks.add(asyncio.current_task())
        count += 1
        mine = count
        try:
            while asked := await _read(reader, writer, mine):
                seen.asked.append(asked)
                await answer(asked)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        except Exception as error:
            seen.broken.append(error)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    seen.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield seen
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not seen.broken, seen.broken


async def _read(reader, writer, connection) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    data = await reader.readexactly(int(headers.get("content-length", 0)))
    body = json.loads(data) if data else {}
    return Asked(first.split()[1], headers, body, connection, reader, writer)


def chat(text="hello", usage=(5, 3), finish="stop", **more) -> dict:
    """A whole chat completion."""
    document = {
        "id": "c",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": text},
            }
        ],
        **more,
    }
    if usage:
        document["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    return document


def chunk(text=None, finish=None, usage=None) -> dict:
    """A chunk of a streamed one; without a text and a finish the last, which has no choices."""
    choice = {"index": 0, "finish_reason": finish, "delta": {"content": text} if text else {}}
    document = {
        "object": "chat.completion.chunk",
        "choices": [choice] if text is not None or finish else [],
    }
    if usage:
        document["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    return document


def ask(seconds=5.0, path="chat/completions", attempts=1, **body) -> Call:
    """A call with that many seconds from now."""
    body = {"messages": [{"role": "user", "content": "why ?"}], "max_tokens": 9, **body}
    deadline = asyncio.get_running_loop().time() + seconds
    return Call(path, body, deadline, request_id="r1", attempts=attempts)
