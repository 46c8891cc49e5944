"""The most a call can use: never below what a byte-level tokenizer could make of it."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import BadInput
from bursar.gateway.bounds import outputs, prompt_bound

TEXT = st.text(max_size=40)


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant", "system"]), TEXT), min_size=1))
def test_a_chat_has_at_least_its_texts_bytes(said) -> None:
    said = [(role, text.encode("utf-8", "ignore").decode()) for role, text in said]
    messages = [{"role": role, "content": text} for role, text in said]
    least = sum(len(text.encode()) + 4 for _, text in said)
    assert prompt_bound("chat/completions", {"messages": messages}) >= least


def test_parts_names_tools_and_schemas_all_count() -> None:
    plain = {"messages": [{"role": "user", "content": "hi"}]}
    base = prompt_bound("chat/completions", plain)
    tool = {"type": "function", "function": {"name": "f", "description": "d" * 300}}
    more = [
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi" * 100}]}]},
        {"messages": [{"role": "user", "name": "n" * 200, "content": "hi"}]},
        {**plain, "tools": [tool]},
        {**plain, "response_format": {"type": "json_schema", "json_schema": {"d": "x" * 300}}},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": [tool]}]},
    ]
    for body in more:
        longest = len(orjson.dumps(body)) - len(orjson.dumps(plain))
        assert prompt_bound("chat/completions", body) - base >= longest * 0.5
        assert prompt_bound("chat/completions", body) > base + 100


def test_an_image_is_bounded_only_where_the_model_says_how() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:"}}
    body = {"messages": [{"role": "user", "content": [image]}]}
    with pytest.raises(BadInput, match="nothing bounds"):
        prompt_bound("chat/completions", body)
    with_images = prompt_bound("chat/completions", body, tokens_per_image=1000)
    assert 1000 < with_images < 1200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", {}),
        ("chat/completions", {"messages": []}),
        ("chat/completions", {"messages": "hi"}),
        ("chat/completions", {"messages": ["hi"]}),
        ("chat/completions", {"messages": [{"role": "user", "content": 7}]}),
        ("chat/completions", {"messages": [{"role": "user", "content": ["hi"]}]}),
        ("chat/completions", {"messages": [{"role": "user", "content": "hi"}], "tools": "f"}),
        ("completions", {}),
        ("completions", {"prompt": 7}),
        ("embeddings", {"input": []}),
        ("embeddings", {"input": [["a"], 7]}),
    ],
)
def test_what_can_not_be_read_is_refused(path, body) -> None:
    with pytest.raises(BadInput):
        prompt_bound(path, body)


def test_prompts_of_tokens_and_lists_of_prompts() -> None:
    assert prompt_bound("completions", {"prompt": [1, 2, 3]}) >= 3
    assert prompt_bound("completions", {"prompt": [[1, 2], [3]]}) >= 3
    assert prompt_bound("embeddings", {"input": ["abc", "d"]}) >= 4


def test_how_many_answers_a_call_asks_for() -> None:
    assert outputs("chat/completions", {}) == 1
    assert outputs("chat/completions", {"n": 5}) == 5
    assert outputs("completions", {"prompt": ["a", "b"], "n": 2, "best_of": 3}) == 6
    assert outputs("completions", {"prompt": [1, 2]}) == 1
    assert outputs("embeddings", {"input": ["a"]}) == 0
    for bad in (0, -1, True, "2", 1.5, 1000):
        with pytest.raises(BadInput, match="n is"):
            outputs("chat/completions", {"n": bad})
