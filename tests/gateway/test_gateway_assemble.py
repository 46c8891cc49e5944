"""A stream's chunks put together are the answer that was not streamed."""

from bursar.gateway.assemble import Assembled


def chunk(index=0, finish=None, **delta):
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {"id": "c", "model": "m", "object": "chat.completion.chunk", "choices": [choice]}


def folded(*chunks, path="chat/completions"):
    whole = Assembled(path)
    for one in chunks:
        whole.add(one)
    return whole.document()


def test_text_of_several_choices() -> None:
    document = folded(
        chunk(role="assistant", content=""),
        chunk(1, role="assistant", content="b"),
        chunk(content="a"),
        chunk(content="a"),
        chunk(finish="stop"),
        chunk(1, finish="length"),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 3}},
    )
    assert document["object"] == "chat.completion"
    assert [c["message"]["content"] for c in document["choices"]] == ["aa", "b"]
    assert [c["finish_reason"] for c in document["choices"]] == ["stop", "length"]
    assert document["choices"][0]["message"]["role"] == "assistant"
    assert document["usage"]["prompt_tokens"] == 3
    assert (document["id"], document["model"]) == ("c", "m")


def test_calls_of_tools_in_pieces() -> None:
    def call(index, **fields):
        return {"index": index, **fields}

    document = folded(
        chunk(
            role="assistant",
            tool_calls=[call(0, id="x", type="function", function={"name": "f", "arguments": ""})],
        ),
        chunk(tool_calls=[call(0, function={"arguments": '{"a"'})]),
        chunk(tool_calls=[call(1, id="y", type="function", function={"name": "g"})]),
        chunk(tool_calls=[call(0, function={"arguments": ":1}"})]),
        chunk(finish="tool_calls"),
    )
    message = document["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"] == [
        {"id": "x", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
        {"id": "y", "type": "function", "function": {"name": "g"}},
    ]


def test_logprobs_are_joined() -> None:
    one = {**chunk(content="a")}
    one["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -1.0}]}
    two = {**chunk(content="b")}
    two["choices"][0]["logprobs"] = {"content": [{"token": "b", "logprob": -2.0}]}
    document = folded(one, two)
    assert [t["token"] for t in document["choices"][0]["logprobs"]["content"]] == ["a", "b"]


def test_what_was_cut_ends_with_length() -> None:
    assert folded(chunk(content="a"))["choices"][0]["finish_reason"] == "length"


def test_a_completion_has_text() -> None:
    pieces = [
        {"id": "c", "choices": [{"index": 0, "text": t, "finish_reason": None}]} for t in "ab"
    ]
    document = folded(*pieces, path="completions")
    assert document["object"] == "text_completion"
    assert document["choices"][0]["text"] == "ab"
