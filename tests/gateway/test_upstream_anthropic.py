"""Anthropic's API behind OpenAI's: what comes back, whole and streamed, and what may be billed."""

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bursar.backends.secret import Secret
from bursar.gateway.upstream import AnthropicUpstream, Tokens, UpstreamFailed
from loopback import ask, loopback

TEXT = {"type": "text", "text": "hi"}
CALL = {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "xyz"}


def message(*blocks, stop_reason="end_turn", usage=None):
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-1-dated",
        "content": list(blocks),
        "stop_reason": stop_reason,
        "usage": usage or {"input_tokens": 7, "output_tokens": 5},
    }


def pieces(text, size=3):
    return [text[i : i + size] for i in range(0, len(text), size)]


def events(whole):
    """The stream in which a message would have come."""
    usage = whole["usage"]
    begun = {"content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield {"type": "message_start", "message": {**whole, **begun}}
    yield {"type": "ping"}
    for number, block in enumerate(whole["content"]):
        start, deltas = dict(block), []
        if block["type"] == "text":
            start["text"] = ""
            deltas = [{"type": "text_delta", "text": t} for t in pieces(block["text"])]
        elif block["type"] == "tool_use":
            start["input"] = {}
            text = json.dumps(block["input"]) if block["input"] else ""
            deltas = [{"type": "input_json_delta", "partial_json": t} for t in pieces(text)]
        elif block["type"] == "thinking":
            start |= {"thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": t} for t in pieces(block["thinking"])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        yield {"type": "content_block_start", "index": number, "content_block": start}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": number, "delta": delta}
        yield {"type": "content_block_stop", "index": number}
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    used = {"output_tokens": usage["output_tokens"]}
    yield {"type": "message_delta", "delta": delta, "usage": used}
    yield {"type": "message_stop"}


def messages_api(whole, cut=None):
    """A mock of /v1/messages that gives `whole`, of a stream only `cut` events."""

    async def answer(asked):
        if asked.headers.get("x-api-key") != "sk-ant" or "anthropic-version" not in asked.headers:
            error = {"type": "authentication_error", "message": "invalid x-api-key"}
            await asked.json({"type": "error", "error": error}, "401 Unauthorized")
        elif not asked.body.get("stream"):
            await asked.json(whole)
        else:
            await asked.begin_stream()
            for event in list(events(whole))[:cut]:
                data = f"event: {event['type']}\r\ndata: {json.dumps(event)}\r\n\r\n"
                await asked.piece(data.encode())
            await asked.end_stream()

    return answer


async def both(whole, **body):
    """(reply, chunks, the stream's tokens) of the same call, whole and streamed."""
    async with loopback(messages_api(whole)) as server:
        there = AnthropicUpstream("there", "claude-1", server.url, key=Secret("sk-ant"))
        reply = await there.complete(ask(**body))
        async with there.stream(ask(**body)) as chunks:
            found = [chunk async for chunk in chunks]
        await there.aclose()
    assert [asked.path for asked in server.asked] == ["/v1/messages"] * 2
    return reply, found, chunks.tokens


async def failure(answer, *, stream=False, **body):
    async with loopback(answer) as server:
        there = AnthropicUpstream("there", "claude-1", server.url, key=Secret("sk-ant"))
        with pytest.raises(UpstreamFailed) as caught:
            await (read(there, ask(**body)) if stream else there.complete(ask(**body)))
        await there.aclose()
    return caught.value


async def read(there, call):
    async with there.stream(call) as chunks:
        return [chunk async for chunk in chunks]


def assembled(chunks):
    """The message that a client puts together from chunks, as OpenAI's clients do."""
    said = {"role": "assistant", "content": None, "refusal": None}
    calls = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            delta = choice["delta"]
            for field in ("content", "reasoning_content"):
                if delta.get(field):
                    said[field] = (said.get(field) or "") + delta[field]
            said.setdefault("thinking_blocks", []).extend(delta.get("thinking_blocks", []))
            for piece in delta.get("tool_calls", []):
                call = calls.setdefault(piece["index"], {"function": {"arguments": ""}})
                call |= {k: piece[k] for k in ("id", "type") if k in piece}
                function = piece["function"]
                call["function"]["arguments"] += function.get("arguments", "")
                call["function"] |= {k: function[k] for k in ("name",) if k in function}
    for call in calls.values():
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return {k: v for k, v in {**said, "tool_calls": list(calls.values())}.items() if v}


def as_assembled(said):
    said = json.loads(json.dumps(said))
    for call in said.get("tool_calls", []):
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return {k: v for k, v in said.items() if v}


async def test_a_bad_body_is_a_clear_400_and_costs_nothing():
    for stream in (False, True):
        failed = await failure(messages_api(message(TEXT)), stream=stream, n=2)
        assert (failed.status, failed.may_be_billed, failed.repeatable) == (400, False, False)
        assert "n = 2" in failed.document["error"]["message"]
    assert (await failure(messages_api(message(TEXT)), path="embeddings")).status == 400


async def test_a_message_becomes_a_completion():
    usage = {
        "input_tokens": 7,
        "output_tokens": 5,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 20,
    }
    whole = message(THOUGHT, TEXT, CALL, stop_reason="tool_use", usage=usage)
    reply, chunks, tokens = await both(whole)
    (choice,) = reply.document["choices"]
    call = choice["message"]["tool_calls"][0]
    assert call["function"] == {"name": "add", "arguments": '{"a":1}'}
    assert choice["message"]["content"] == "hi"
    assert choice["message"]["reasoning_content"] == "hm"
    assert choice["message"]["thinking_blocks"] == [THOUGHT]
    assert choice["finish_reason"] == "tool_calls"
    assert reply.document["model"] == "claude-1-dated"
    assert reply.document["usage"]["prompt_tokens"] == 127
    assert reply.tokens == tokens == Tokens(127, 5, cached=100, cache_written=20)
    assert assembled(chunks) == as_assembled(choice["message"])
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == reply.document["usage"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("refusal", "content_filter"),
        ("of_the_future", "stop"),
    ],
)
async def test_reasons_to_stop(reason, finish):
    reply, chunks, _ = await both(message(TEXT, stop_reason=reason))
    assert reply.document["choices"][0]["finish_reason"] == finish
    assert chunks[-2]["choices"][0]["finish_reason"] == finish


_BLOCKS = st.lists(
    st.builds(lambda text: {"type": "text", "text": text}, st.text(min_size=1, max_size=12))
    | st.builds(
        lambda given: {"type": "tool_use", "id": "t", "name": "f", "input": given},
        st.dictionaries(st.text(max_size=4), st.integers(0, 9) | st.text(max_size=4), max_size=2),
    )
    | st.builds(
        lambda text: {"type": "thinking", "thinking": text, "signature": "s"},
        st.text(min_size=1, max_size=9),
    )
    | st.just({"type": "redacted_thinking", "data": "q"}),
    max_size=4,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_BLOCKS)
def test_a_stream_says_what_the_whole_says(blocks):
    reply, chunks, tokens = asyncio.run(both(message(*blocks)))
    assert assembled(chunks) == as_assembled(reply.document["choices"][0]["message"])
    assert tokens == reply.tokens


@pytest.mark.parametrize("cut", [0, 1, 3, 5, 7])
async def test_a_cut_stream_may_be_billed_and_has_no_usage(cut):
    failed = await failure(messages_api(message(TEXT, TEXT), cut=cut), stream=True)
    assert failed.may_be_billed
    assert "cut" in str(failed)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        {"type": "content_block_delta", "index": 5, "delta": {"type": "text_delta", "text": "x"}},
        {"type": "message_start"},
        {"type": "content_block_start", "index": 0, "content_block": "text"},
        {"type": "message_delta", "delta": 3},
        {"no": "type"},
    ],
)
@pytest.mark.parametrize("first", [True, False])
async def test_events_that_should_not_be(event, first):
    async def answer(asked):
        await asked.begin_stream()
        if not first:
            await asked.event(next(events(message(TEXT))))
        await asked.event(event)
        await asked.end_stream()

    failed = await failure(answer, stream=True)
    assert (failed.may_be_billed, failed.repeatable) == (True, True)


async def test_events_of_the_future_are_passed_over():
    async def answer(asked):
        await asked.begin_stream()
        for event in events(message(TEXT)):
            await asked.event(event)
            await asked.event({"type": "of_the_future", "index": 99})
        await asked.end_stream()

    async with loopback(answer) as server:
        there = AnthropicUpstream("there", "claude-1", server.url)
        assert assembled(await read(there, ask()))["content"] == "hi"
        await there.aclose()


@pytest.mark.parametrize("said", [{}, {"content": [{}]}, {"content": 3, "usage": 4}])
async def test_what_is_no_message_may_be_billed(said):
    assert (await failure(lambda asked: asked.json(said))).may_be_billed


@pytest.mark.parametrize(
    "usage", [{}, {"input_tokens": 7}, {"input_tokens": -1, "output_tokens": 2}]
)
async def test_usage_that_can_not_be_true_is_not_passed_on(usage):
    reply, chunks, tokens = await both({**message(TEXT), "usage": {**usage, "output_tokens": None}})
    assert reply.tokens is None
    assert tokens is None
    assert reply.document["usage"] is None
    assert chunks


async def test_errors_of_the_api_are_told():
    async with loopback(messages_api(message(TEXT))) as server:
        there = AnthropicUpstream("there", "claude-1", server.url, key=Secret("sk-wrong"))
        with pytest.raises(UpstreamFailed, match="invalid x-api-key") as caught:
            await there.complete(ask())
        with pytest.raises(UpstreamFailed):
            await there.probe()
        await there.aclose()
    assert caught.value.status == 401
    assert caught.value.document["error"]["type"] == "authentication_error"
    assert "sk-wrong" not in repr(there) + str(caught.value)
