"""What a client may make a worker keep and wait for: heads, trailers, bodies, connections."""

import asyncio
import socket
import time
from contextlib import asynccontextmanager
from functools import partial

import pytest
import uvicorn

from bursar.gateway.protocol import GuardedProtocol

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\n"
LIMITS = {"head_bytes": 4096, "head_s": 0.3, "most": 20}


async def answers(scope, receive, send):
    """Says how long the body was; to /early, before it has come."""
    size, more = 0, scope["path"] != "/early"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        more = message.get("more_body")
    content = str(size).encode()
    head = [(b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": content})


@asynccontextmanager
async def served(**limits):
    """A server's port, and the server."""
    listening = socket.create_server(("127.0.0.1", 0))
    protocol = partial(GuardedProtocol, **{**LIMITS, **limits})
    config = uvicorn.Config(answers, http=protocol, lifespan="off", log_level="critical")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield listening.getsockname()[1], server
    finally:
        server.should_exit = True
        await serving


async def talk(port, *pieces, pause=0.0, end=b"close", wait=3.0):
    """Sends pieces; what came back until the server closed, `end` was in it, or `wait` was over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    said = b""

    async def listen():
        nonlocal said
        while piece := await reader.read(65536):
            said += piece
            if end in said and end != b"close":
                return

    listening = asyncio.create_task(listen())
    try:
        for piece in pieces:
            if listening.done():
                break
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
        await asyncio.wait([listening], timeout=wait)
    except ConnectionError:
        pass
    finally:
        listening.cancel()
        await asyncio.wait([listening])
        writer.transport.abort()
    return said


async def test_requests_pass_also_pipelined_and_in_pieces():
    body = HEAD + b"content-length: 5\r\n\r\nhello"
    async with served() as (port, _):
        assert (await talk(port, body, end=b"5")).endswith(b"\r\n\r\n5")
        many = await talk(port, body * 40, end=b"never", wait=0.5)
        assert many.count(b"\r\n\r\n5") == 40
        pieces = [body[i : i + 10] for i in range(0, len(body), 10)]
        assert b"200" in await talk(port, *pieces, end=b"\r\n\r\n5")
        large = HEAD + b"content-length: 100000\r\n\r\n" + b"x" * 100_000
        assert b"\r\n\r\n100000" in await talk(port, large + HEAD, end=b"100000")


async def test_a_head_without_end_is_cut():
    async with served() as (port, server):
        said = await talk(port, HEAD + b"x-long: " + b"y" * 10_000)
        assert b" 431 " in said
        assert b"request_too_large" in said
        many = [b"x-%d: y\r\n" % i for i in range(1000)]
        assert b" 431 " in await talk(port, HEAD, *many)
        assert b" 431 " in await talk(port, *[b"\r\n" * 1000] * 5, pause=0.01)
        assert not server.server_state.connections


@pytest.mark.parametrize("began", [b"", b"POST / HT", HEAD + b"x-slow: a"])
async def test_a_head_that_does_not_come_is_not_waited_for(began):
    async with served() as (port, _):
        start = time.monotonic()
        assert b" 408 " in await talk(port, began)
        assert 0.2 < time.monotonic() - start < 2.0


async def test_a_byte_now_and_then_does_not_help():
    async with served() as (port, _):
        slowly = [HEAD[i : i + 1] for i in range(len(HEAD))]
        assert b" 408 " in await talk(port, *slowly, pause=0.05)
        done = HEAD + b"content-length: 0\r\n\r\n"
        said = await talk(port, done, *slowly, pause=0.05)
        assert b" 200 " in said
        assert b" 408 " in said


async def test_idle_connections_are_kept():
    done = HEAD + b"content-length: 0\r\n\r\n"
    async with served() as (port, _):
        said = await talk(port, done, done, pause=0.6, end=b"never", wait=0.1)
        assert said.count(b" 200 ") == 2


async def test_trailers_are_not_kept():
    chunked = HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
    async with served() as (port, _):
        trailers = [b"x-%d: y\r\n" % i for i in range(100)]
        assert b"\r\n\r\n3" in await talk(port, chunked, *trailers, b"\r\n", end=b"\r\n\r\n3")


async def test_bodies_end_after_their_answer():
    early = HEAD.replace(b"/ ", b"/early ") + b"content-length: 99999999\r\n\r\n"
    async with served() as (port, server):
        said = await talk(port, early, *[b"x" * 65536] * 200)
        assert b" 200 " in said
        start = time.monotonic()
        assert b" 200 " in await talk(port, early, *[b"x"] * 40, pause=0.05)
        assert time.monotonic() - start < 2.0
        await asyncio.sleep(0.05)
        assert not server.server_state.connections


async def test_connections_are_bounded():
    done = HEAD + b"content-length: 0\r\n\r\n"
    async with served(most=3) as (port, server):
        open_ones = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert b" 503 " in await talk(port, done)
        for _, writer in open_ones:
            writer.close()
        while server.server_state.connections:
            await asyncio.sleep(0.005)
        assert b" 200 " in await talk(port, done, end=b" 200 ")
