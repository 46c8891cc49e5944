"""A backend in this process behind OpenAI's API."""

import asyncio
import base64
import time
from random import Random

import numpy as np
import pytest

from bursar.backends import Completion, Request, open_backend
from bursar.errors import BackendError
from bursar.gateway.upstream import LocalUpstream, UpstreamFailed, open_local
from bursar.usage import Usage
from loopback import ask

PROMPT = "chain 12*3+4"


@pytest.fixture(scope="module")
def tiny():
    return open_local("here", "tiny-0.3m", rng=Random(0))


def chat(text=PROMPT, **body):
    return ask(messages=[{"role": "user", "content": text}], **{"max_tokens": 60, **body})


async def texts(upstream, call):
    document = (await upstream.complete(call)).document
    return [c["message"]["content"] if "message" in c else c["text"] for c in document["choices"]]


async def refusal(upstream, call):
    with pytest.raises(UpstreamFailed) as caught:
        await upstream.complete(call)
    assert (caught.value.status, caught.value.may_be_billed) == (400, False)
    return caught.value.document["error"]["message"]


async def test_the_last_message_of_the_user_is_what_the_model_is_asked(tiny):
    expected = open_backend("tiny-0.3m")
    (plain,) = await expected.complete([Request(PROMPT + "\n", 60, temperature=0)])
    messages = [
        {"role": "system", "content": "You are helpful."},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "hi"},
        {"role": "user", "content": [{"type": "text", "text": PROMPT}]},
    ]
    reply = await tiny.complete(ask(messages=messages, max_tokens=60, temperature=0))
    (choice,) = reply.document["choices"]
    assert choice["message"] == {"role": "assistant", "content": plain.text}
    assert choice["finish_reason"] == "stop"
    assert (reply.tokens.tokens_in, reply.tokens.tokens_out) == (
        plain.usage.tokens_in,
        plain.usage.tokens_out,
    )
    assert reply.document["usage"]["total_tokens"] == plain.usage.tokens
    assert reply.document["object"] == "chat.completion"


async def test_samples_seeds_stops_and_limits_are_followed(tiny):
    four = await texts(tiny, chat(n=4, seed=1, temperature=1.5))
    assert len(set(four)) > 1
    assert await texts(tiny, chat(n=4, seed=1, temperature=1.5)) == four
    assert await texts(tiny, chat(n=4, temperature=1.5)) != await texts(
        tiny, chat(n=4, temperature=1.5)
    )
    (text,) = await texts(tiny, chat(temperature=0))
    assert await texts(tiny, chat(temperature=0, stop="#")) == [text.split("#")[0]]
    assert await texts(tiny, chat(temperature=0, stop=["=", "#"])) == [text.split("=")[0]]
    reply = await tiny.complete(chat(temperature=0, max_tokens=99, max_completion_tokens=3))
    assert reply.document["choices"][0]["finish_reason"] == "length"
    assert reply.tokens.tokens_out == 3


async def test_a_prompt_is_billed_once_for_its_samples(tiny):
    one, four = [await tiny.complete(chat(n=n, seed=2)) for n in (1, 4)]
    assert four.tokens.tokens_in == one.tokens.tokens_in
    assert four.tokens.tokens_out > one.tokens.tokens_out
    two = ask(path="completions", prompt=[PROMPT + "\n"] * 2, n=2, max_tokens=5, messages=None)
    reply = await tiny.complete(two)
    assert reply.tokens.tokens_in == 2 * one.tokens.tokens_in
    assert [choice["index"] for choice in reply.document["choices"]] == [0, 1, 2, 3]


@pytest.mark.parametrize("path", ["chat/completions", "completions"])
async def test_a_stream_says_what_the_whole_says_in_several_pieces(tiny, path):
    body = {"n": 2, "seed": 4, "logprobs": True, "max_tokens": 60}
    body |= {"messages": None, "prompt": PROMPT + "\n"} if path == "completions" else {}
    call = ask(path=path, **body) if path == "completions" else chat(**body)
    whole = await tiny.complete(call)
    async with tiny.stream(call) as chunks:
        found = [chunk async for chunk in chunks]
    assert chunks.tokens == whole.tokens
    assert len(found) > 10
    for choice in whole.document["choices"]:
        mine = [c for chunk in found for c in chunk["choices"] if c["index"] == choice["index"]]
        if path == "completions":
            said = "".join(c["text"] for c in mine)
            logprobs = [v for c in mine if c["logprobs"] for v in c["logprobs"]["token_logprobs"]]
            assert said == choice["text"]
            assert logprobs == choice["logprobs"]["token_logprobs"]
        else:
            assert mine[0]["delta"]["role"] == "assistant"
            said = "".join(c["delta"].get("content", "") for c in mine)
            logprobs = [t for c in mine if c["logprobs"] for t in c["logprobs"]["content"]]
            assert said == choice["message"]["content"]
            assert logprobs == choice["logprobs"]["content"]
        assert [c["finish_reason"] for c in mine][-1] == choice["finish_reason"]
    assert found[-1]["choices"] == []
    assert found[-1]["usage"] == whole.document["usage"]


async def test_a_stream_that_is_left_has_used_what_was_made(tiny):
    whole = await tiny.complete(chat(seed=4))
    async with tiny.stream(chat(seed=4)) as chunks:
        await anext(aiter(chunks))
    assert chunks.tokens == whole.tokens


async def test_logprobs_are_those_of_the_tokens_said(tiny):
    (choice,) = (await tiny.complete(chat(temperature=0, logprobs=True))).document["choices"]
    tokens = choice["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == choice["message"]["content"]
    assert all(token["logprob"] <= 0 for token in tokens)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tools", [{"type": "function"}]),
        ("top_p", 0.5),
        ("response_format", {"type": "json_object"}),
        ("frequency_penalty", 1),
        ("top_logprobs", 3),
        ("temperature", "warm"),
        ("temperature", -1),
        ("n", 1.5),
        ("n", -1),
        ("n", 10**9),
        ("seed", "x"),
        ("reasoning_effort", ["high"]),
        ("stop", [3]),
        ("stop", 3),
        ("max_tokens", None),
        ("messages", []),
        ("messages", ["hi"]),
        ("messages", [{"role": "user", "content": [{"type": "image_url"}]}]),
        ("messages", [{"role": "user", "content": "write a poem"}]),
        ("reasoning_effort", "high"),
        ("unheard_of", 1),
    ],
)
async def test_what_can_not_be_followed_is_refused(tiny, field, value):
    assert await refusal(tiny, ask(**{"messages": chat().body["messages"], field: value}))


async def test_what_changes_nothing_is_fine(tiny):
    call = chat(top_p=1.0, presence_penalty=0, tools=[], response_format={"type": "text"}, user="u")
    assert await texts(tiny, call)


async def test_texts_have_embeddings_of_length_one(tiny):
    near, same, far = [PROMPT, PROMPT, "sudoku a4b3c2d_e2"]
    call = ask(path="embeddings", input=[near, same, far], messages=None, max_tokens=None)
    reply = await tiny.complete(call)
    a, b, c = [np.array(row["embedding"]) for row in reply.document["data"]]
    assert np.linalg.norm(a) == pytest.approx(1, abs=1e-5)
    assert a @ b == pytest.approx(1, abs=1e-5)
    assert a @ c < 0.99
    assert reply.tokens.tokens_in == reply.document["usage"]["prompt_tokens"] > 10
    packed = ask(path="embeddings", input=near, encoding_format="base64", messages=None)
    (row,) = (await tiny.complete(packed)).document["data"]
    assert np.frombuffer(base64.b64decode(row["embedding"]), "<f4") == pytest.approx(a)


@pytest.mark.parametrize("given", [None, [], 3, [[1, 2]], "A poem", ""])
async def test_embeddings_of_what_it_can_not_read_are_refused(tiny, given):
    assert await refusal(tiny, ask(path="embeddings", input=given, messages=None))


async def test_calls_that_wait_together_run_together(tiny):
    calls = [chat(seed=seed, max_tokens=100) for seed in range(24)]
    apart = [(await texts(tiny, call))[0] for call in calls]
    began = time.perf_counter()
    together = await asyncio.gather(*[texts(tiny, call) for call in calls])
    seconds = time.perf_counter() - began
    assert [text for (text,) in together] == apart
    began = time.perf_counter()
    for call in calls:
        await texts(tiny, call)
    assert seconds < time.perf_counter() - began


class Odd:
    """A backend that does as it is told."""

    name = "odd"

    def __init__(self, answer):
        self.answer = answer

    def upper_bound(self, request):
        return Usage()

    async def complete(self, requests):
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is None:
            await asyncio.sleep(60)
        return [self.answer for _ in requests]

    async def aclose(self):
        pass


async def test_other_backends_are_asked_with_the_whole_conversation():
    simulated = open_local("sim", "simulated:right=9,wrong=1")
    messages = [{"role": "system", "content": "one"}, {"role": "user", "content": "two"}]
    reply = await simulated.complete(ask(messages=messages, max_tokens=5000))
    assert reply.tokens.tokens_in == 2  # "one", "two" and a gap, at 4 characters a token
    async with simulated.stream(ask(messages=messages, max_tokens=5000)) as chunks:
        assert [chunk async for chunk in chunks]
    await simulated.aclose()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "deadline"),
        (BackendError("broke"), "broke"),
        (Completion("", Usage(), "error"), "failed"),
    ],
)
async def test_failures(answer, words):
    upstream = LocalUpstream("here", Odd(answer))
    with pytest.raises(UpstreamFailed, match=words) as caught:
        await upstream.complete(ask(seconds=0.05))
    assert caught.value.may_be_billed


async def test_usage_that_is_not_known_is_not_made_up():
    upstream = LocalUpstream("here", Odd(Completion("well then", Usage(), "stop")))
    reply = await upstream.complete(ask())
    assert reply.tokens is None
    assert reply.document["usage"] is None
    assert (await refusal(upstream, ask(path="embeddings", input="x"))).startswith("odd has no")
    assert await upstream.probe() is None
