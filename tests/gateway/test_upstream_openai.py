"""An OpenAI-compatible upstream: what it sends, believes, may have cost, stops and hides."""

import asyncio
import socket

import pytest

from bursar.backends.mock_server import Fault, MockServer
from bursar.backends.secret import Secret
from bursar.errors import BadInput
from bursar.gateway.upstream import OpenAIUpstream, Tokens, UpstreamFailed
from loopback import ask, chat, chunk, loopback

KEY = Secret("sk-very-secret")


def upstream(server, **settings):
    return OpenAIUpstream("there", "big-1", server.url, key=KEY, **settings)


async def failure(answer, call=None, *, stream=False, **settings):
    """What a call fails with at a server that answers so."""
    async with loopback(answer) as server:
        there = upstream(server, **settings)
        call = call or ask()
        try:
            with pytest.raises(UpstreamFailed) as caught:
                await (read(there, call, []) if stream else there.complete(call))
            await asyncio.sleep(0.01)  # for the server to notice
        finally:
            await there.aclose()
    assert "sk-very" not in str(caught.value) + repr(caught.value.document) + repr(there)
    return caught.value


async def read(there, call, found):
    """Streams a call's chunks into `found`."""
    async with there.stream(call) as chunks:
        async for piece in chunks:
            found.append(piece)


async def streamed(answer, call=None, **settings):
    """(chunks, tokens, requests seen)"""
    async with loopback(answer) as server:
        there = upstream(server, **settings)
        async with there.stream(call or ask()) as chunks:
            found = [chunk async for chunk in chunks]
        await there.aclose()
    return found, chunks.tokens, server.asked


async def two_words(asked):
    await asked.begin_stream()
    await asked.event(chunk("hel"))
    await asked.event(chunk("lo", finish="stop"))
    await asked.event(chunk(usage=(5, 3)))
    await asked.piece(b"data: [DONE]\n\n")
    await asked.end_stream()


async def test_a_whole_answer_is_passed_on_with_its_usage():
    document = chat(system_fingerprint="kept")
    document["usage"]["prompt_tokens_details"] = {"cached_tokens": 4}

    async with loopback(lambda asked: asked.json(document)) as server:
        there = upstream(server)
        reply = await there.complete(ask(stream=True, stream_options={}, tools=[{"x": 1}]))
        await there.aclose()
    assert reply.document == document
    assert (reply.tokens, reply.upstream) == (Tokens(5, 3, cached=4), "there")
    (asked,) = server.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.body["model"] == "big-1"
    assert asked.body["tools"] == [{"x": 1}]
    assert "stream" not in asked.body
    assert "stream_options" not in asked.body
    assert asked.headers["authorization"] == "Bearer sk-very-secret"
    assert asked.headers["x-request-id"] == "r1"
    assert asked.headers["accept-encoding"] == "identity"


async def test_a_key_may_go_under_another_name_and_the_limit_too():
    async with loopback(lambda asked: asked.json(chat())) as server:
        there = upstream(
            server, key_header="api-key", limit_field="max_completion_tokens", headers={"X-A": "b"}
        )
        await there.complete(ask(max_tokens=9, max_completion_tokens=7))
        await there.aclose()
    headers, body = server.asked[0].headers, server.asked[0].body
    assert (headers["api-key"], headers["x-a"]) == ("sk-very-secret", "b")
    assert "authorization" not in headers
    assert body["max_completion_tokens"] == 7
    assert "max_tokens" not in body


@pytest.mark.parametrize("usage", [None, (5, -1), (0, 3), (5, 0), (5.5, 3), (True, 3), (5, 10**12)])
async def test_usage_that_can_not_be_true_is_none(usage):
    async with loopback(lambda asked: asked.json(chat(usage=usage))) as server:
        there = upstream(server)
        assert (await there.complete(ask())).tokens is None
        await there.aclose()


async def test_embeddings_have_no_completion_tokens():
    document = {"data": [{"embedding": [0.1], "index": 0}], "usage": {"prompt_tokens": 4}}
    async with loopback(lambda asked: asked.json(document)) as server:
        there = upstream(server)
        reply = await there.complete(ask(path="embeddings"))
        await there.aclose()
    assert reply.tokens == Tokens(4, 0)
    assert reply.document["usage"] == {"prompt_tokens": 4}


@pytest.mark.parametrize(
    ("status", "billed", "repeatable"),
    [
        ("302 Found", False, False),
        ("400 Bad Request", False, False),
        ("401 Unauthorized", False, True),
        ("404 Not Found", False, True),
        ("429 Too Many Requests", False, True),
        ("500 Internal Server Error", False, True),
        ("502 Bad Gateway", True, True),
        ("503 Service Unavailable", False, True),
        ("529 Overloaded", False, True),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_status_says_what_may_be_billed(status, billed, repeatable, stream):
    async def answer(asked):
        said = {"error": {"message": "no, sk-very-secret", "code": "x"}}
        await asked.json(said, status, location="http://127.0.0.1:1/")

    failed = await failure(answer, stream=stream)
    assert failed.status == int(status[:3])
    assert (failed.may_be_billed, failed.repeatable) == (billed, repeatable)
    assert failed.document == {"error": {"message": "no, ***", "code": "x"}}
    assert "no, ***" in str(failed)


async def test_a_500_may_be_billed_where_the_server_bills_errors():
    failed = await failure(lambda asked: asked.json({}, "500 Oh"), bills_errors=True)
    assert failed.may_be_billed


@pytest.mark.parametrize(
    ("header", "seconds"),
    [({"retry_after": "7"}, 7), ({"retry_after": "7", "retry_after_ms": "1500"}, 1.5), ({}, None)],
)
async def test_the_wish_to_wait_is_read(header, seconds):
    failed = await failure(lambda asked: asked.json({}, "429 Busy", **header))
    assert failed.retry_after_s == seconds


async def test_nobody_there_costs_nothing():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        there = OpenAIUpstream("t", "m", f"http://127.0.0.1:{closed.getsockname()[1]}/v1")
        with pytest.raises(UpstreamFailed, match="can't connect") as caught:
            await there.complete(ask())
        with pytest.raises(UpstreamFailed, match="can't connect"):
            await there.probe()
        await there.aclose()
    assert (caught.value.may_be_billed, caught.value.repeatable) == (False, True)


@pytest.mark.parametrize("stream", [False, True])
async def test_no_answer_before_the_deadline_may_be_billed_and_the_server_is_let_go(stream):
    hung_up = []

    async def answer(asked):
        hung_up.append(await asked.hung_up())

    failed = await failure(answer, ask(seconds=0.1), stream=stream)
    assert (failed.may_be_billed, failed.repeatable) == (True, False)
    assert "deadline" in str(failed)
    assert hung_up == [True]


async def test_silence_is_cut_before_the_deadline():
    async def answer(asked):
        await asked.begin_stream()
        await asked.event(chunk("a"))
        await asked.hung_up()

    failed = await failure(answer, stream=True, idle_s=0.1)
    assert (failed.may_be_billed, failed.repeatable) == (True, True)
    assert "silent for 0.1 s" in str(failed)


@pytest.mark.parametrize(
    "said",
    [
        b"<html>",
        b"[1]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [3]}',
        b'{"choices": [{"message": "hi"}]}',
        b'{"choices": [{"message": {"content": "\xff"}}]}',
        b"",
    ],
)
async def test_what_is_no_answer_may_be_billed(said):
    async def answer(asked):
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(said)}\r\n\r\n".encode()
        await asked.say(head + said)

    failed = await failure(answer)
    assert (failed.may_be_billed, failed.repeatable) == (True, True)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0-no\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_reply_that_is_cut_or_odd_may_be_billed(said, stream):
    async def answer(asked):
        await asked.say(said)
        raise ConnectionError

    assert (await failure(answer, stream=stream)).may_be_billed


async def test_an_answer_without_end_is_cut_off():
    async def answer(asked):
        await asked.begin_stream()
        while True:
            await asked.piece(b"x" * 50_000)

    failed = await failure(answer, most_reply_bytes=100_000)
    assert "more than 100000 bytes" in str(failed)


async def test_a_cancelled_call_hangs_up_so_that_the_server_stops():
    hung_up = asyncio.Event()

    async def answer(asked):
        if await asked.hung_up():
            hung_up.set()

    async with loopback(answer) as server:
        there = upstream(server)
        task = asyncio.create_task(there.complete(ask()))
        while not server.asked:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.wait_for(hung_up.wait(), 1)
        await there.aclose()


async def test_a_connection_is_used_again_and_one_that_was_closed_is_no_failure():
    async def answer(asked):
        await asked.json(chat())
        if len(server.asked) in (2, 3):
            raise ConnectionError  # closed without a word, after a whole answer

    async with loopback(answer) as server:
        there = upstream(server)
        for _ in range(5):
            await there.complete(ask())
            await asyncio.sleep(0.02)
        await there.aclose()
    assert [asked.connection for asked in server.asked] == [1, 1, 2, 3, 3]


async def test_a_stream_hands_on_every_chunk_and_asks_for_usage():
    found, tokens, (asked,) = await streamed(
        two_words, ask(stream_options={"include_usage": False, "x": 1})
    )
    assert found == [chunk("hel"), chunk("lo", finish="stop"), chunk(usage=(5, 3))]
    assert tokens == Tokens(5, 3)
    assert asked.body["stream"] is True
    assert asked.body["stream_options"] == {"include_usage": True, "x": 1}


async def test_connections_of_streams_are_used_again():
    async with loopback(two_words) as server:
        there = upstream(server)
        for _ in range(3):
            async with there.stream(ask()) as chunks:
                assert len([chunk async for chunk in chunks]) == 3
        await there.aclose()
    assert [asked.connection for asked in server.asked] == [1, 1, 1]


async def test_chunks_come_as_they_are_made():
    go_on = asyncio.Event()

    async def answer(asked):
        await asked.begin_stream()
        await asked.event(chunk("a"))
        await go_on.wait()
        await asked.event(chunk("b", finish="stop"))
        await asked.end_stream()

    async with loopback(answer) as server:
        there = upstream(server)
        async with there.stream(ask()) as chunks:
            assert await anext(aiter(chunks)) == chunk("a")
            assert chunks.tokens is None
            go_on.set()
            # no [DONE], but the only choice has finished
            assert [c async for c in chunks] == [chunk("b", finish="stop")]
        await there.aclose()


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (b"", "cut"),
        (b"data: {oops\n\n", "not JSON"),
        (b"data: 7\n\n", "not a JSON object"),
        (b'data: {"choices": 1}\n\n', "without choices"),
        (b'data: {"choices": [1]}\n\n', "a choice that"),
        (b"<html>\n", "no field"),
        (b"data: " + b"x" * 5000, "more than 4096 bytes"),
        (b'data: {"error": {"message": "sk-very-secret broke", "code": 503}}\n\n', "broke"),
    ],
)
async def test_a_stream_that_breaks_hands_on_what_came_and_may_be_billed(end, words):
    async def answer(asked):
        await asked.begin_stream()
        data = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'
        await asked.piece(data + end)
        await asked.end_stream()

    async with loopback(answer) as server:
        there = upstream(server, most_event_bytes=4096)
        found = []
        with pytest.raises(UpstreamFailed, match=words) as caught:
            await read(there, ask(), found)
        await there.aclose()
    assert [piece["choices"][0]["delta"]["content"] for piece in found] == ["a"]
    assert (caught.value.may_be_billed, caught.value.repeatable) == (True, True)
    assert "sk-very" not in str(caught.value) + repr(caught.value.document)


async def test_a_stream_that_fails_at_once_has_not_begun():
    async def answer(asked):
        await asked.begin_stream()
        await asked.event({"error": {"message": "overloaded", "code": 529}})
        await asked.end_stream()

    async with loopback(answer) as server:
        there = upstream(server)
        with pytest.raises(UpstreamFailed, match="overloaded") as caught:
            await there.stream(ask()).__aenter__()
        await there.aclose()
    assert caught.value.status == 529


async def test_a_connection_cut_in_a_stream_may_be_billed():
    async def answer(asked):
        await asked.begin_stream()
        await asked.event(chunk("a"))
        raise ConnectionError

    assert (await failure(answer, stream=True)).may_be_billed


async def test_a_whole_answer_to_a_stream_is_refused():
    failed = await failure(lambda asked: asked.json(chat()), stream=True)
    assert "whole answer" in str(failed)
    assert failed.may_be_billed


async def test_leaving_a_stream_hangs_up():
    hung_up = asyncio.Event()

    async def answer(asked):
        await asked.begin_stream()
        await asked.event(chunk("a"))
        if await asked.hung_up():
            hung_up.set()

    async with loopback(answer) as server:
        there = upstream(server)
        async with there.stream(ask()) as chunks:
            await anext(aiter(chunks))
        assert await asyncio.wait_for(hung_up.wait(), 1)
        await there.aclose()


async def test_it_is_probed_by_the_list_of_models():
    async with loopback(lambda asked: asked.json({"data": []})) as server:
        there = upstream(server)
        assert await there.probe() is None
        await there.aclose()
    assert server.asked[0].path == "/v1/models"
    assert server.asked[0].headers["authorization"]


async def test_a_server_without_such_a_list_is_there_all_the_same():
    async with loopback(lambda asked: asked.json({}, "404 Not Found")) as server:
        there = upstream(server)
        assert await there.probe() is None
        await there.aclose()


async def test_odd_values_of_clients_go_to_the_server_to_be_refused():
    _, _, (asked,) = await streamed(
        two_words,
        ask(stream_options="yes", max_tokens="9", max_completion_tokens=7),
        limit_field="max_tokens",
    )
    assert asked.body["stream_options"] == {"include_usage": True}
    assert asked.body["max_tokens"] == 7


async def test_the_counting_mock_agrees():
    def fault(n):
        return Fault(("ok", "429", "cut", "500 after", "no usage", "lies", "garbage")[n % 7])

    with MockServer(fault=fault) as server:
        there = OpenAIUpstream("t", "m", server.base_url, bills_errors=True)
        told = bounded = 0
        for _ in range(14):
            try:
                reply = await there.complete(ask())
                told += reply.tokens.tokens_out if reply.tokens else 0
                bounded += reply.tokens is None
            except UpstreamFailed as failed:
                bounded += failed.may_be_billed
        await there.aclose()
    known = [seen for seen in server.seen if seen.fault.kind == "ok"]
    assert told == sum(seen.tokens_out for seen in known)
    # "lies" reports nothing that can be true; only 429 is free
    assert bounded == sum(seen.fault.kind not in ("ok", "429") for seen in server.seen)


@pytest.mark.parametrize("url", ["ftp://x", "http://user:pw@x/v1", "http://x/v1?key=a"])
def test_a_base_url_that_can_not_be_is_refused(url):
    with pytest.raises(BadInput):
        OpenAIUpstream("t", "m", url)
