"""Responses as chats: what is sent on, what comes back, and that no body breaks the translation."""

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from bursar.errors import BadInput
from bursar.gateway.api.responses import Responses
from bursar.gateway.ask import read_ask
from bursar.gateway.bill import Bill
from bursar.gateway.bounds import asked_output, outputs, prompt_bound, refuse_unbounded
from bursar.gateway.principal import OpenDoor
from bursar.gateway.responses_wire import chat_body
from bursar.usage import Usage


def test_everything_that_can_be_said_is_sent_on():
    chat = chat_body(
        {
            "model": "m",
            "instructions": "be short",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "where ?"}]},
                {"type": "reasoning", "id": "rs_1", "summary": []},
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
                {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "one"},
                {
                    "type": "function_call_output",
                    "call_id": "c2",
                    "output": [{"type": "input_text", "text": "two"}],
                },
                {
                    "type": "message",
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "this ?"},
                        {"type": "input_image", "image_url": "data:x", "detail": "low"},
                    ],
                },
            ],
            "max_output_tokens": 9,
            "reasoning": {"effort": "low"},
            "text": {
                "verbosity": "low",
                "format": {"type": "json_schema", "name": "x", "schema": {}, "strict": True},
            },
            "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True}],
            "tool_choice": {"type": "function", "name": "f"},
            "include": ["message.output_text.logprobs"],
            "store": True,
            "temperature": 0.5,
        }
    )
    calls = [
        {"id": f"c{i}", "type": "function", "function": {"name": name, "arguments": "{}"}}
        for i, name in ((1, "f"), (2, "g"))
    ]
    image = {"type": "image_url", "image_url": {"url": "data:x", "detail": "low"}}
    assert chat == {
        "model": "m",
        "temperature": 0.5,
        "messages": [
            {"role": "system", "content": "be short"},
            {"role": "user", "content": "where ?"},
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "c1", "content": "one"},
            {"role": "tool", "tool_call_id": "c2", "content": "two"},
            {"role": "user", "content": [{"type": "text", "text": "this ?"}, image]},
        ],
        "max_completion_tokens": 9,
        "reasoning_effort": "low",
        "verbosity": "low",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": {}, "strict": True},
        },
        "tools": [
            {"type": "function", "function": {"name": "f", "parameters": {}, "strict": True}}
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "logprobs": True,
    }


def bill() -> Bill:
    return Bill("req_1", "a", 1, Usage.zero(), {}, spent=Usage(tokens_in=3, tokens_out=4))


async def events_of(chunks: list[dict]) -> list[dict]:
    async def come():
        for chunk in chunks:
            yield chunk

    ask = read_ask(
        "chat/completions",
        {"model": "m"},
        None,
        request_id="req_1",
        principal=OpenDoor().principal,
        began=0.0,
    )
    said = [said async for _, said in Responses().events({"model": "m"}, ask, come(), bill())]
    assert [event["sequence_number"] for event in said] == list(range(len(said)))
    return said


def piece(finish: str | None = None, **delta) -> dict:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


async def test_thoughts_text_and_calls_are_items_of_their_own():
    call = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": ""}}
    chunks = [
        piece(role="assistant", reasoning_content="hm"),
        piece(content="I "),
        piece(content="ask"),
        piece(tool_calls=[call]),
        piece(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}]),
        piece(tool_calls=[{**call, "index": 1, "id": "c2"}]),
        piece("tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}},
    ]
    events = await events_of(chunks)
    response = events[-1]["response"]
    shown = [(item["type"], item["status"]) for item in response["output"]]
    assert shown == [
        (kind, "completed") for kind in ("reasoning", "message", *["function_call"] * 2)
    ]
    assert response["output"][0]["content"][0]["text"] == "hm"
    assert response["output"][1]["content"][0]["text"] == "I ask"
    assert response["output"][2]["arguments"] == "{}"
    assert [item["call_id"] for item in response["output"][2:]] == ["c1", "c2"]
    assert response["usage"]["output_tokens"] == 4
    kinds = [event["type"] for event in events]
    for begun, done in (("item.added", "item.done"), ("part.added", "part.done")):
        assert sum(k.endswith(begun) for k in kinds) == sum(k.endswith(done) for k in kinds)


@pytest.mark.parametrize(("finish", "why"), [("length", "max_output_tokens"), ("stop", None)])
async def test_an_answer_that_was_cut_is_incomplete(finish, why):
    events = await events_of([piece(content="x"), piece(finish)])
    status = "incomplete" if why else "completed"
    assert events[-1]["type"] == f"response.{status}"
    assert events[-1]["response"]["incomplete_details"] == (why and {"reason": why})
    assert events[-1]["response"]["usage"]["input_tokens"] == 3


def test_a_refusal_is_said_as_one():
    message = {"role": "assistant", "content": None, "refusal": "no"}
    document = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    shown = Responses().whole({"model": "m"}, document, bill())
    assert shown["output"][0]["content"] == [{"type": "refusal", "refusal": "no"}]


WORDS = st.sampled_from(["", "user", "message", "text"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "role", "content", "text", "name", "call_id", "output", "format"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
ALL = ["n", "stream", "stream_options", "bursar", "budget", "user", "service_tier", "seed"]
CHAT = ["messages", "tools", "tool_choice", "response_format", "max_tokens", "modalities", "echo"]
BODIES = {
    "responses": (
        {"input": "x"},
        ["input", "tools", "tool_choice", "text", "reasoning", "include"],
    ),
    "chat/completions": ({"messages": [{"role": "user", "content": "x"}]}, CHAT),
    "completions": ({"prompt": "x"}, ["prompt", "echo", "best_of", "max_tokens"]),
    "embeddings": ({"input": "x"}, ["input"]),
}


ODD = [
    *(True, 3, -1, 0.5, "x", "", [], [3], ["x"], [None], {}, {"type": []}, {"type": "x"}, [[]]),
    *([{}], [{"type": ["x"]}], [{"role": ["user"]}], [{"role": "user", "content": 3}]),
    *({"format": 3}, {"format": {"type": []}}, {"effort": []}, {"function": 3}, {"budget": []}),
]


def read(kind: str, body: dict) -> bool:
    """Whether a body can be read; no other error than `BadInput` may come of it."""
    path, who = kind, OpenDoor().principal
    try:
        if kind == "responses":
            path, body = "chat/completions", chat_body(body)
        ask = read_ask(path, body, None, request_id="r", principal=who, began=0.0)
        refuse_unbounded(ask.body)
        assert prompt_bound(path, ask.body) >= 0
        assert outputs(path, ask.body) >= 0
        assert (asked_output(ask.body, 100) or 0) <= 100
    except BadInput:
        return False
    return True


@pytest.mark.parametrize("kind", BODIES)
def test_every_field_is_read_or_refused_whatever_it_is(kind):
    base, own = BODIES[kind]
    assert read(kind, {"model": "m", **base})
    readable = {f: sum(read(kind, {"model": "m", **base, f: v}) for v in ODD) for f in own + ALL}
    assert readable["stream"] < len(ODD)


@settings(max_examples=300, deadline=None)
@given(st.lists(JSON, max_size=3), st.sampled_from(["input", "messages", "tools"]))
def test_any_items_are_read_or_refused(items, field):
    kind = "chat/completions" if field == "messages" else "responses"
    event(f"read: {read(kind, {'model': 'm', **BODIES[kind][0], field: items})}")
    assert field in ("tools", *BODIES[kind][0])
