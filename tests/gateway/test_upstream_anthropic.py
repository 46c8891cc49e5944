"""Anthropic's API behind OpenAI's: what is sent, what is refused, and what comes back."""

import asyncio
import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bursar.backends.secret import Secret
from bursar.errors import BadInput
from bursar.gateway.upstream import AnthropicUpstream, Tokens, UpstreamFailed
from bursar.gateway.upstream.anthropic_wire import to_messages
from loopback import ask, loopback

TEXT = {"type": "text", "text": "hi"}
CALL = {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "xyz"}


def sent(thinking="budget", **body):
    body = {"messages": [{"role": "user", "content": "why ?"}], "max_tokens": 4000, **body}
    return to_messages(body, "claude-1", thinking)


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


def test_a_conversation_with_tools_is_translated():
    body = sent(
        messages=[
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "1+1?"}]},
            {
                "role": "assistant",
                "content": None,
                "thinking_blocks": [THOUGHT],
                "tool_calls": [
                    {"id": "t1", "function": {"name": "add", "arguments": '{"a": 1}'}},
                    {"id": "t2", "function": {"name": "add", "arguments": ""}},
                ],
            },
            {"role": "tool", "tool_call_id": "t1", "content": "2"},
            {"role": "tool", "tool_call_id": "t2", "content": "3"},
            {"role": "user", "content": "and ?"},
            {"role": "developer", "content": "in French"},
        ],
        tools=[
            {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}},
            {"type": "function", "function": {"name": "now", "description": "time"}},
        ],
        tool_choice="required",
        parallel_tool_calls=False,
        stop="END",
        temperature=0.5,
        top_p=0.9,
        user="u7",
        seed=3,
    )
    assert body == {
        "model": "claude-1",
        "max_tokens": 4000,
        "system": [{"type": "text", "text": "be brief"}, {"type": "text", "text": "in French"}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "1+1?"}]},
            {
                "role": "assistant",
                "content": [
                    THOUGHT,
                    {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}},
                    {"type": "tool_use", "id": "t2", "name": "add", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t1",
                        "content": [{"type": "text", "text": "2"}],
                    },
                    {
                        "type": "tool_result",
                        "tool_use_id": "t2",
                        "content": [{"type": "text", "text": "3"}],
                    },
                    {"type": "text", "text": "and ?"},
                ],
            },
        ],
        "tools": [
            {"name": "add", "input_schema": {"type": "object"}},
            {
                "name": "now",
                "description": "time",
                "input_schema": {"type": "object", "properties": {}},
            },
        ],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "stop_sequences": ["END"],
        "temperature": 0.5,
        "top_p": 0.9,
        "metadata": {"user_id": "u7"},
    }


def test_images_and_files_are_translated():
    parts = [
        {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,BBBB"}},
    ]
    (turn,) = sent(messages=[{"role": "user", "content": parts}])["messages"]
    assert turn["content"] == [
        {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "BBBB"},
        },
    ]


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        ("auto", None, {"type": "auto"}),
        ("none", False, {"type": "none"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (None, None, None),
        ({"type": "function", "function": {"name": "f"}}, None, {"type": "tool", "name": "f"}),
    ],
)
def test_the_choice_of_tools_is_translated(choice, parallel, expected):
    tools = [{"type": "function", "function": {"name": "f"}}]
    body = sent(tools=tools, tool_choice=choice, parallel_tool_calls=parallel)
    assert body.get("tool_choice") == expected


def test_a_schema_is_followed():
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": schema}}
    expected = {"format": {"type": "json_schema", "schema": schema}}
    assert sent(response_format=wanted)["output_config"] == expected
    assert "output_config" not in sent(response_format={"type": "text"})
    both = sent("adaptive", response_format=wanted, reasoning_effort="low", max_tokens=9000)
    assert both["output_config"] == {**expected, "effort": "low"}


@pytest.mark.parametrize(
    ("effort", "limit", "budget"),
    [
        ("low", 20_000, 4000),
        ("high", 20_000, 16_000),
        ("low", 2000, 1024),
        ("high", 1024, None),  # no room to think and to answer
        ("none", 20_000, None),
        ("minimal", 20_000, None),
        (None, 20_000, None),
    ],
)
def test_effort_becomes_a_number_of_tokens_below_the_limit(effort, limit, budget):
    body = sent(reasoning_effort=effort, max_completion_tokens=limit, max_tokens=10**6, top_p=0.5)
    found = body.get("thinking")
    assert found == (budget and {"type": "enabled", "budget_tokens": budget})
    assert body["max_tokens"] == limit
    assert ("top_p" in body) == (budget is None)


def test_newer_models_are_told_an_effort():
    body = sent("adaptive", reasoning_effort="medium")
    assert body["thinking"] == {"type": "adaptive"}
    assert body["output_config"] == {"effort": "medium"}


@pytest.mark.parametrize(("thoughts", "thinks"), [([THOUGHT], True), ([], False)])
def test_after_a_tool_it_goes_on_thinking_only_where_its_thoughts_are(thoughts, thinks):
    calls = [{"id": "t", "function": {"name": "f", "arguments": "{}"}}]
    messages = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "tool_calls": calls, "thinking_blocks": thoughts},
        {"role": "tool", "tool_call_id": "t", "content": "1"},
    ]
    assert ("thinking" in sent(messages=messages, reasoning_effort="low")) == thinks


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("logit_bias", {"5": 1}),
        ("frequency_penalty", 0.5),
        ("temperature", 1.5),
        ("response_format", {"type": "json_object"}),
        ("functions", [{"name": "f"}]),
        ("modalities", ["audio"]),
        ("web_search_options", {}),
        ("never_heard_of", 1),
        ("max_tokens", None),
        ("max_tokens", "9"),
        ("reasoning_effort", "enormous"),
        ("tool_choice", 3),
        ("tools", [{"type": "custom"}]),
        ("messages", None),
        ("messages", ["hi"]),
        ("messages", [{"role": "function", "content": "x"}]),
        ("messages", [{"role": ["user"], "content": "x"}]),
        ("messages", [{"role": "user", "content": [{"type": "input_audio"}]}]),
        ("messages", [{"role": "user", "content": [{"type": "text"}]}]),
        (
            "messages",
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "ftp:x"}}]}],
        ),
        (
            "messages",
            [{"role": "assistant", "tool_calls": [{"function": {"arguments": "[1]"}}]}],
        ),
    ],
)
def test_what_can_not_be_said_is_refused_by_name(field, value):
    if field == "tool_choice":
        tools = [{"type": "function", "function": {"name": "f"}}]
        with pytest.raises(BadInput, match="tool_choice"):
            sent(tool_choice=value, tools=tools)
    else:
        with pytest.raises(BadInput, match="max_completion" if field == "max_tokens" else field):
            sent(**{field: value})


_FIELDS = ["messages", "tools", "tool_choice", "stop", "n", "response_format", "max_tokens"]
_KEYS = ["role", "content", "type", "text", "function", "tool_calls"]
_WORDS = st.sampled_from(["user", "assistant", "tool", "function", "text", "", "a"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | _WORDS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(_FIELDS), _VALUES))
def test_no_body_breaks_the_translation(body):
    with suppress(BadInput):
        assert sent(**body)["model"] == "claude-1"


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
