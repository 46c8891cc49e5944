"""OpenAI's chat bodies for Anthropic's API: what is sent, what is refused."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bursar.errors import BadInput
from bursar.gateway.upstream.anthropic_wire import to_messages

THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "xyz"}


def sent(thinking="budget", **body):
    body = {"messages": [{"role": "user", "content": "why ?"}], "max_tokens": 4000, **body}
    return to_messages(body, "claude-1", thinking)


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
_FIELDS += ["reasoning_effort", "temperature", "user", "parallel_tool_calls"]
_KEYS = ["role", "content", "type", "text", "function", "tool_calls", "thinking_blocks"]
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
