"""The endpoints through HTTP: bodies, budgets, errors, streams, and that everything adds up."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from counting_upstream import CountingUpstream, Say, obliging
from running_gateway import Running, config_for, running

ASK = [{"role": "user", "content": "why is that so"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    with CountingUpstream() as upstream:
        config = config_for(upstream.base_url, folder, requests={"timeout_s": 20, "auto": ["m"]})
        with running(config, upstream) as found:
            yield found


@pytest.fixture
def gateway(shared: Running) -> Iterator[Running]:
    """The gateway with a fresh count. Whatever a test does, no hold stays and the books verify."""
    shared.upstream.say = obliging
    shared.start()
    yield shared
    shared.spent()


def stream(gateway: Running, path: str = "chat/completions", **body) -> list[dict]:
    """The events of a stream, which must end as OpenAI's do."""
    asked = {"model": "m", "messages": ASK, "stream": True, **body}
    with gateway.client.stream("POST", f"/v1/{path}", json=asked) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-request-id"].startswith("req_")
        lines = [line for line in response.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    events = [line.removeprefix("data: ") for line in lines]
    done = events.pop() if events[-1] == "[DONE]" else None
    found = [json.loads(event) for event in events]
    assert (done is None) == ("error" in found[-1])
    gateway.bills.append(found[-1]["bursar"])
    return found


def text_of(chunks: list[dict]) -> str:
    said = [c["delta"].get("content") or "" for chunk in chunks for c in chunk.get("choices", ())]
    return "".join(said)


def error_of(response: httpx.Response) -> dict:
    error = response.json()["error"]
    assert set(error) >= {"message", "type", "param", "code"}
    assert response.headers["x-request-id"]
    return error


def test_a_chat_is_answered_with_a_bill(gateway):
    reply = gateway.chat()
    document = reply.json()
    assert document["choices"][0]["message"]["content"] == "one two three four"
    assert document["bursar"]["spent"]["tokens_out"] == document["usage"]["completion_tokens"] == 5
    used = document["usage"]
    usd = (used["prompt_tokens"] * 1 + used["completion_tokens"] * 2) / 1e6
    assert document["bursar"]["spent"]["usd"] == pytest.approx(usd)
    assert reply.headers["x-bursar-spent"].startswith(f"{used['total_tokens']} tokens")
    assert reply.headers["x-request-id"] == document["bursar"]["request_id"]
    gateway.check_sums()


@pytest.mark.parametrize("wanted", [True, False, None])
def test_a_stream_ends_as_openai_ends_it(gateway, wanted):
    options = {} if wanted is None else {"stream_options": {"include_usage": wanted}}
    chunks = stream(gateway, **options)
    assert text_of(chunks) == "one two three four"
    assert [c for c in chunks if "bursar" in c] == chunks[-1:]
    if wanted:
        assert [c["usage"] for c in chunks[:-1]] == [None] * (len(chunks) - 1)
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"]["completion_tokens"] == 5
        chunks.pop()
    else:
        assert not any("usage" in c for c in chunks)
    assert [c["choices"][0]["finish_reason"] for c in chunks] == [None] * 4 + ["stop"]
    gateway.check_sums()


def test_usage_is_made_up_for_an_upstream_that_says_none(gateway):
    gateway.upstream.say = lambda body: Say("one two", usage=False)
    (*_, last) = stream(gateway, stream_options={"include_usage": True})
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == last["bursar"]["spent"]["tokens_out"] == 8
    assert last["bursar"]["estimated"]
    whole = gateway.chat().json()
    assert whole["usage"]["completion_tokens"] == whole["bursar"]["spent"]["tokens_out"] == 8
    assert whole["bursar"]["estimated"]
    assert gateway.spent()[1] >= gateway.upstream.billed[1]


def test_several_answers_with_logprobs_and_a_schema_are_passed_through(gateway):
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    reply = gateway.chat(n=3, logprobs=True, response_format=shape).json()
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2]
    assert reply["choices"][0]["logprobs"]["content"][0]["token"] == "{}"
    sent = gateway.upstream.made[-1].body
    assert (sent["n"], sent["logprobs"], sent["response_format"]) == (3, True, shape)
    chunks = stream(gateway, n=2, logprobs=True, stream_options={"include_usage": True})
    assert {c["choices"][0]["index"] for c in chunks[:-1]} == {0, 1}
    assert chunks[0]["choices"][0]["logprobs"]["content"][0]["token"] == "one"
    assert [c["choices"][0]["finish_reason"] for c in chunks[:-1]].count("stop") == 2
    gateway.check_sums()


def test_tools_are_passed_through_whole_and_streamed(gateway):
    call = gateway.chat(tools=[TOOL]).json()["choices"][0]["message"]["tool_calls"][0]
    assert (call["function"]["name"], call["function"]["arguments"]) == (
        "weather",
        '{"city": "Paris"}',
    )
    pieces = [
        call
        for chunk in stream(gateway, tools=[TOOL])
        for call in chunk["choices"][0]["delta"].get("tool_calls", ())
    ]
    assert "".join(p["function"]["arguments"] for p in pieces) == '{"city": "Paris"}'
    gateway.check_sums()


def test_embeddings_as_floats_and_as_base64(gateway):
    reply = gateway.post("embeddings", {"model": "m", "input": ["a b", "c"], "dimensions": 3})
    assert [row["embedding"] for row in reply.json()["data"]] == [[0.0, 0.5, 0.5], [1.0, 0.5, 0.5]]
    reply = gateway.post("embeddings", {"model": "m", "input": "a b", "encoding_format": "base64"})
    assert isinstance(reply.json()["data"][0]["embedding"], str)
    for budget in ("5 s", "100 tokens"):
        reply = gateway.post("embeddings", {"model": "m", "input": "a"}, x_bursar_budget=budget)
        assert reply.json()["usage"] == {"prompt_tokens": 1, "total_tokens": 1}
    gateway.check_sums()


def test_completions_of_several_prompts_and_their_echo(gateway):
    body = {"model": "m", "prompt": ["a b", "c"], "echo": True, "max_tokens": 2, "n": 2}
    reply = gateway.post("completions", body)
    texts = [choice["text"] for choice in reply.json()["choices"]]
    assert texts == ["a bone two", "a bone two", "cone two", "cone two"]
    assert reply.json()["bursar"]["allowed"]["tokens_out"] == 8
    with gateway.client.stream(
        "POST", "/v1/completions", json={"model": "m", "prompt": "a", "stream": True}
    ) as response:
        *events, done = [line[6:] for line in response.iter_lines() if line]
    assert done == "[DONE]"
    gateway.bills.append(json.loads(events[-1])["bursar"])
    said = [json.loads(event)["choices"][0]["text"] for event in events]
    assert "".join(said) == "one two three four"
    gateway.check_sums()


def test_models_are_listed_and_shown(gateway):
    listed = gateway.client.get("/v1/models").json()
    assert [m["id"] for m in listed["data"]] == ["m", "small"]
    assert gateway.client.get("/v1/models/m").json()["usd_per_mtok_out"] == 2.0
    missing = gateway.client.get("/v1/models/none")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_either_limit_of_output_is_honoured(gateway, field):
    reply = gateway.chat(**{field: 2}).json()
    assert reply["choices"][0]["finish_reason"] == "length"
    assert gateway.upstream.made[-1].body["max_tokens"] == 2
    assert "max_completion_tokens" not in gateway.upstream.made[-1].body
    gateway.check_sums()


def test_efforts_are_passed_on_and_checked(gateway):
    gateway.chat(reasoning_effort="low")
    assert gateway.upstream.made[-1].body["reasoning_effort"] == "low"
    assert "must be one of" in error_of(gateway.chat(reasoning_effort="huge"))["message"]
    gateway.check_sums()


BAD = {
    "both limits": ({"max_tokens": 2, "max_completion_tokens": 3}, "differ"),
    "no tokens": ({"max_tokens": 0}, "whole number"),
    "half a token": ({"max_tokens": 1.5}, "whole number"),
    "yes tokens": ({"max_tokens": True}, "whole number"),
    "many answers": ({"n": 1000}, "from 1 to 128"),
    "no messages": ({"messages": []}, "at least one"),
    "odd messages": ({"messages": ["hi"]}, "object"),
    "sound": ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "bounds"),
    "stream": ({"stream": "yes"}, "true or false"),
    "tools": ({"tools": {"a": 1}}, "list"),
    "prediction": ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
    "search": ({"web_search_options": {}}, "web_search_options"),
    "tier": ({"service_tier": "priority"}, "service_tier"),
    "voice": ({"modalities": ["text", "audio"]}, "modalities"),
    "model": ({"model": 3}, "model must be"),
    "user": ({"user": 3}, "user must be"),
    "ours": ({"bursar": {"free": True}}, "bursar must be"),
    "seed": ({"model": "self_consistency:m", "seed": "x"}, "seed"),
    "warmth": ({"model": "self_consistency:m", "temperature": "hot"}, "temperature"),
    "tools of a strategy": ({"model": "self_consistency:m", "tools": [TOOL]}, "tools"),
    "answers of a strategy": ({"model": "self_consistency:m", "n": 2}, "n can't"),
    "a strategy of nobody": (
        {"model": "self_consistency:m", "messages": [{"role": "system", "content": "x"}]},
        "role user",
    ),
    "reader": ({"model": "auto", "bursar": {"extract": "x"}}, "extract is 'x'"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_can_not_be_asked_is_said_and_costs_nothing(gateway, name):
    body, said = BAD[name]
    before = gateway.spent()
    reply = gateway.client.post(
        "/v1/chat/completions", json={"model": "m", "messages": ASK, **body}
    )
    error = error_of(reply)
    assert (reply.status_code, error["code"]) == (400, "invalid_request")
    assert said in error["message"]
    assert gateway.spent() == before
    assert not gateway.upstream.made


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b'"x"', b"\xff", b'{"a":' * 2000])
def test_bodies_that_are_no_request(gateway, content):
    reply = gateway.client.post("/v1/chat/completions", content=content)
    assert (reply.status_code, error_of(reply)["code"]) == (400, "invalid_request")


def test_a_body_nested_deep_is_refused(gateway):
    deep: dict = {}
    for _ in range(400):
        deep = {"a": deep}
    reply = gateway.chat(tools=[{"type": "function", "function": deep}])
    assert reply.status_code == 400
    reply = gateway.chat(metadata=deep)
    assert reply.status_code == 400


def test_too_large_a_body_is_413(gateway):
    reply = gateway.client.post("/v1/chat/completions", content=b"x" * 8_000_001)
    assert (reply.status_code, error_of(reply)["code"]) == (413, "request_too_large")
    reply = gateway.client.post("/v1/chat/completions", content=iter([b"x" * 5_000_000] * 2))
    assert reply.status_code == 413


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ("nonsense", "'nonsense'"),
        ("0.1 USD, x", "'0.1 USD, x'"),
        ("-1 USD", "'-1 USD'"),
        ("5 USD per day", "usd per day"),
        ("1e15 flops", "flops"),
        ("3 calls", "tool_calls"),
        ("1 USD, 2 USD", "twice"),
    ],
)
def test_a_malformed_budget_is_400_with_the_rule(gateway, budget, said):
    for reply in (gateway.chat(within=budget), gateway.chat(bursar={"budget": budget})):
        assert (reply.status_code, error_of(reply)["code"]) == (400, "invalid_request")
        assert said in reply.json()["error"]["message"]
    assert not gateway.upstream.made


def test_budgets_that_nobody_can_bound_are_400(gateway):
    for model in ("m", "self_consistency:m"):
        reply = gateway.chat(within="1 J", model=model)
        assert (reply.status_code, error_of(reply)["code"]) == (400, "unbounded")


def test_two_budgets_that_differ_are_refused(gateway):
    reply = gateway.chat(within="1 USD", bursar={"budget": "2 USD"})
    assert (reply.status_code, "give one" in error_of(reply)["message"]) == (400, True)
    assert gateway.chat(within="1 USD", budget="1 USD").status_code == 200


@pytest.mark.parametrize("where", ["header", "body", "ours"])
def test_a_budget_lowers_the_bound_and_is_kept(gateway, where):
    gateway.upstream.say = lambda body: Say("word " * 200)
    text = "200 tokens"
    sent = {"within": text} if where == "header" else {}
    more = {"body": {"budget": text}, "ours": {"bursar": {"budget": text}}}.get(where, {})
    bill = gateway.chat(**sent, **more).json()["bursar"]
    assert bill["spent"]["tokens_in"] + bill["spent"]["tokens_out"] <= 200
    assert "lowered" in bill["notes"][0]
    assert bill["limit"] == {"tokens": 200.0}
    assert "budget" not in gateway.upstream.made[-1].body
    gateway.check_sums()


def test_a_budget_that_does_not_cover_a_token_is_402(gateway):
    reply = gateway.chat(within="10 tokens")
    error = error_of(reply)
    assert (reply.status_code, error["code"]) == (402, "budget_exceeded")
    assert error["bursar"]["limit"] == 10
    assert error["bursar"]["asked"] > 10
    assert reply.headers["x-should-retry"] == "false"
    assert not gateway.upstream.made


def test_seconds_cut_an_answer_and_give_what_there_is(gateway):
    gateway.upstream.say = lambda body: Say("word " * 400, pause_s=0.02)
    reply = gateway.chat(within="0.4 s").json()
    assert reply["bursar"]["stopped"] == "seconds"
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["choices"][0]["message"]["content"].startswith("word word")
    assert reply["usage"]["completion_tokens"] == reply["bursar"]["spent"]["tokens_out"]
    chunks = stream(gateway, budget="0.4 s", stream_options={"include_usage": True})
    assert chunks[-1]["bursar"]["stopped"] == "seconds"
    assert chunks[-2]["choices"][0]["finish_reason"] == "length"
    spent, billed = gateway.spent(), gateway.upstream.billed
    assert all(s >= b for s, b in zip(spent, billed, strict=True))
    assert all(made.ended is False for made in gateway.upstream.made)


def test_seconds_that_end_before_a_word_are_402(gateway):
    gateway.upstream.say = lambda body: Say(first_s=5)
    for more in ({}, {"stream": True}):
        began = time.monotonic()
        reply = gateway.chat(within="0.2 s", **more)
        assert time.monotonic() - began < 2
        assert (reply.status_code, error_of(reply)["code"]) == (402, "budget_exceeded")
        assert "0.2 s" in reply.json()["error"]["message"]
        assert reply.json()["bursar"]["estimated"]
    gateway.settled()
    assert gateway.spent() == gateway.billed()
