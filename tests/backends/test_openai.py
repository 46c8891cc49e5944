"""The client of OpenAI-compatible servers: what it sends, believes, repeats, charges and hides."""

import asyncio
import json
import logging
from random import Random

import httpx
import pytest

from bursar.backends import Request, open_backend
from bursar.backends.mock_server import TEMPLATE_TOKENS, Fault, MockServer
from bursar.backends.openai import OpenAIBackend
from bursar.backends.secret import Secret, read_key
from bursar.backends.sender import Patience
from bursar.backends.token_price import TokenPrice, listed_price
from bursar.errors import BackendError, BadInput

ASK = Request("why ?", 20, question_id="q")
URL = "http://server.test/v1"


def answer(text="42", usage=(5, 3), **choice):
    document = {"choices": [{"message": {"content": text}, "finish_reason": "stop", **choice}]}
    if usage:
        document["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    return httpx.Response(200, json=document)


class Time:
    """A clock that moves only when someone sleeps."""

    def __init__(self):
        self.now, self.slept = 0.0, []

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def backend(handler, **options):
    time = options.pop("time", Time())
    settings = {"clock": time, "sleep": time.sleep, "rng": Random(0), **options}
    return OpenAIBackend("m", URL, transport=httpx.MockTransport(handler), **settings)


async def sent(request, **options):
    """(path, body) that `request` becomes."""
    seen = []

    def handler(http):
        seen.append((http.url.path, json.loads(http.content)))
        return answer()

    async with backend(handler, **options) as client:
        await client.complete([request])
    return seen[0]


async def test_a_prompt_goes_to_chat_with_its_limit():
    path, body = await sent(ASK)
    assert path == "/v1/chat/completions"
    assert body["messages"] == [{"role": "user", "content": "why ?"}]
    assert body["max_tokens"] == 20
    assert 0 <= body["seed"] < 2**31


async def test_a_prefix_is_continued_by_plain_completions():
    path, body = await sent(Request("a", 7, prefix="b", stop=("\n",)))
    assert (path, body["prompt"], body["max_tokens"]) == ("/v1/completions", "ab", 7)
    assert body["stop"] == ["\n"]


async def test_the_limit_can_be_sent_under_the_name_that_reasoning_models_want():
    _, body = await sent(ASK, limit_field="max_completion_tokens")
    assert body["max_completion_tokens"] == 20
    assert "max_tokens" not in body


async def test_equal_draws_get_equal_seeds_and_others_another():
    seeds = [(await sent(Request("p", 5, "q", sample)))[1]["seed"] for sample in (0, 0, 1)]
    assert seeds[0] == seeds[1] != seeds[2]


async def test_no_limit_no_call():
    async with backend(lambda http: pytest.fail("sent")) as client:
        with pytest.raises(BadInput, match="max_tokens is 0"):
            await client.complete([Request("p", 0)])


@pytest.mark.parametrize(
    "usage", [None, (5, -1), (0, 3), (5, 0), (5.5, 3), (True, 3), ("5", 3), (5, 10**12)]
)
async def test_usage_that_can_not_be_true_is_counted_by_us_from_above(usage):
    async with backend(lambda http: answer("forty-two", usage)) as client:
        (done,) = await client.complete([ASK])
        bound = client.upper_bound(ASK)
    assert done.estimated
    assert done.usage.tokens_in == bound.tokens_in == len("why ?") + 128
    assert done.usage.tokens_out == len("forty-two") + 1


async def test_usage_above_the_bound_is_charged_as_the_server_bills_it():
    async with backend(lambda http: answer(usage=(9000, 800)), price=TokenPrice(1, 10)) as client:
        (done,) = await client.complete([ASK])
    assert (done.usage.tokens_in, done.usage.tokens_out) == (9000, 800)
    assert done.usage.usd == pytest.approx(0.017)
    assert not done.estimated


async def test_hidden_reasoning_counts():
    message = {"content": None, "reasoning_content": "hm " * 4}
    async with backend(lambda http: answer(usage=None, message=message)) as client:
        (done,) = await client.complete([ASK])
    assert done.text == ""
    assert done.usage.tokens_out == 13


async def test_logprobs_of_both_apis_are_read():
    chat = {"logprobs": {"content": [{"logprob": -0.5}, {"logprob": -1.0}]}}
    async with backend(lambda http: answer(**chat), logprobs=True) as client:
        (done,) = await client.complete([ASK])
    assert done.logprob == -1.5
    with MockServer() as server:
        async with OpenAIBackend("m", server.base_url, api="completions", logprobs=True) as client:
            (done,) = await client.complete([ASK])
    assert done.logprobs is not None
    assert len(done.logprobs) == len(done.text)


async def test_the_servers_wish_to_wait_is_granted():
    replies = [httpx.Response(429, headers={"retry-after": "7"}), httpx.Response(500), answer()]
    time = Time()
    async with backend(lambda http: replies.pop(0), time=time) as client:
        (done,) = await client.complete([ASK])
    assert time.slept[0] == 7
    assert 0 <= time.slept[1] <= 1.0  # full jitter below 0.5 s * 2^1
    assert done.usage.tokens == 8
    assert done.usage.seconds == pytest.approx(sum(time.slept))


async def test_a_wait_past_the_time_limit_is_not_begun():
    time = Time()
    busy = httpx.Response(429, headers={"retry-after": "3600"})
    async with backend(lambda http: busy, time=time) as client:
        with pytest.raises(BackendError, match="3600 s away"):
            await client.complete([ASK])
    assert time.slept == []


async def test_trying_ends():
    time, count = Time(), []

    def refuse(http):
        count.append(1)
        return httpx.Response(429, json={"error": {"message": "slow down"}})

    async with backend(refuse, time=time, patience=Patience(tries=3)) as client:
        with pytest.raises(BackendError, match=r"HTTP 429: slow down.*3 tries") as failed:
            await client.complete([ASK])
    assert len(count) == 3
    assert failed.value.usage.tokens == 0


@pytest.mark.parametrize(("status", "bills_errors"), [(500, True), (502, False), (504, False)])
async def test_what_may_have_been_generated_is_charged_and_not_repeated(status, bills_errors):
    count = []

    def broken(http):
        count.append(1)
        return httpx.Response(status)

    async with backend(broken, price=TokenPrice(1, 1), bills_errors=bills_errors) as client:
        with pytest.raises(BackendError) as failed:
            await client.complete([ASK])
        bound = client.upper_bound(ASK)
    assert len(count) == 1
    assert failed.value.estimated
    assert failed.value.usage.tokens == bound.tokens
    assert failed.value.usage.usd == bound.usd


async def test_one_failure_among_successes_loses_no_answer_that_was_paid_for():
    def handler(http):
        asked = json.loads(http.content)["messages"][0]["content"]
        return httpx.Response(400) if asked == "bad" else answer(asked)

    async with backend(handler) as client:
        done = await client.complete([Request("good", 9), Request("bad", 9), Request("fine", 9)])
    assert [c.stop_reason for c in done] == ["stop", "error", "stop"]
    assert [c.text for c in done] == ["good", "", "fine"]
    assert "HTTP 400" in done[1].meta["error"]
    assert done[1].usage.tokens == 0


@pytest.mark.parametrize(
    ("status", "remedy"), [(401, "set the API key"), (404, "check the model"), (418, "base URL")]
)
async def test_a_refusal_says_what_to_do(status, remedy):
    async with backend(lambda http: httpx.Response(status, text="no")) as client:
        with pytest.raises(BackendError, match=remedy):
            await client.complete([ASK])


async def test_no_more_calls_at_once_than_allowed():
    open_now, most = 0, 0

    async def handler(http):
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0.005)
        open_now -= 1
        return answer()

    async with backend(handler, concurrency=3) as client:
        await client.complete([ASK] * 12)
    assert most == 3


@pytest.mark.parametrize(
    ("limits", "per_minute"),
    [({"requests_per_minute": 5}, 5), ({"tokens_per_minute": 4 * 153}, 4)],
)
async def test_no_minute_sees_more_than_the_rate_limit(limits, per_minute):
    time, when = Time(), []

    def handler(http):
        when.append(time.now)
        return answer()

    async with backend(handler, time=time, **limits) as client:
        assert client.upper_bound(ASK).tokens == 153
        await client.complete([ASK] * 12)
    for begin in when:
        assert sum(begin <= t < begin + 60 for t in when) <= per_minute
    assert time.now <= 60 * (12 // per_minute)


async def test_a_request_that_no_minute_can_hold_is_refused_before_any_is_sent():
    async with backend(lambda http: pytest.fail("sent"), tokens_per_minute=100) as client:
        with pytest.raises(BadInput, match="rate limit"):
            await client.complete([ASK])


KEY = "sk-very-secret-0123456789"


async def test_the_key_goes_into_one_header_and_nowhere_else(caplog):
    caplog.set_level(logging.DEBUG)
    headers = []

    def handler(http):
        headers.append(http.headers["authorization"])
        assert KEY not in str(http.url)
        echo = {"error": {"message": f"Incorrect API key provided: {KEY}"}}
        return httpx.Response(401, json=echo)

    key = Secret(KEY)
    async with backend(handler, key=key) as client:
        shown = [
            repr(client),
            repr(vars(client)),
            repr(key),
            str(key),
            repr(client._sender),
            repr(vars(client._sender)),
        ]
        with pytest.raises(BackendError) as failed:
            await client.complete([ASK])
    with MockServer() as server:  # the real transport logs more
        async with OpenAIBackend("m", server.base_url, key=key) as client:
            await client.complete([ASK])
        assert server.seen[0].authorization == f"Bearer {KEY}"
    assert headers == [f"Bearer {KEY}"]
    shown += [str(failed.value), repr(failed.value.__dict__), caplog.text]
    assert not any(KEY in text for text in shown)
    assert "***" in str(failed.value)


def test_keys_come_from_the_environment_or_a_private_file(tmp_path):
    assert read_key(environ={}) is None
    assert read_key("MY_KEY", environ={"MY_KEY": f" {KEY}\n"}).reveal() == KEY
    file = tmp_path / "key"
    file.write_text(KEY + "\n")
    file.chmod(0o600)
    assert read_key(file=file).reveal() == KEY
    for mode in (0o640, 0o604, 0o660):
        file.chmod(mode)
        with pytest.raises(BadInput, match="chmod 600") as refused:
            read_key(file=file)
        assert KEY not in str(refused.value)


@pytest.mark.parametrize("value", ["two words", "schlüssel", "line\nbreak"])
def test_a_key_that_no_header_can_carry_is_refused_unseen(value):
    with pytest.raises(BadInput, match="printable ASCII") as refused:
        read_key(environ={"OPENAI_API_KEY": value})
    assert value not in str(refused.value)


def test_a_key_file_that_is_not_there(tmp_path):
    with pytest.raises(BadInput, match="can't be read"):
        read_key(file=tmp_path / "none")


@pytest.mark.parametrize(
    "url",
    [f"https://user:{KEY}@host/v1", f"https://host/v1?api_key={KEY}", "ftp://host", "http://"],
)
def test_base_urls_that_hold_a_key_or_name_no_host_are_refused(url):
    with pytest.raises(BadInput, match="base URL") as refused:
        OpenAIBackend("m", url)
    assert KEY not in str(refused.value)


async def test_opened_by_name(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    client = open_backend("openai:@org/model@7b@http://localhost:1234/v1/")
    assert (client.model, client.base_url) == ("@org/model@7b", "http://localhost:1234/v1")
    assert client.upper_bound(ASK).usd is None
    await client.aclose()
    with pytest.raises(BadInput, match="MODEL@BASE_URL"):
        open_backend("openai:model")


async def test_prices_come_from_the_catalogue_and_an_unknown_one_is_unknown_dollars():
    with MockServer() as server:
        for model, known in (("gpt-4.1-mini", True), ("nobody-listed-this", False)):
            client = open_backend(f"openai:{model}@{server.base_url}")
            (done,) = await client.complete([ASK])
            assert (done.usage.usd is not None) == known
            assert (client.upper_bound(ASK).usd is not None) == known
            await client.aclose()
    price = listed_price("gpt-4.1-mini")
    assert price.usd(1e6, 0) == price.usd_per_mtok_in > 0


def test_a_price_for_short_prompts_does_not_price_long_ones():
    price = TokenPrice(1.0, 2.0, up_to_tokens_in=1000)
    assert price.usd(1000, 500) == pytest.approx(0.002)
    assert price.usd(1001, 500) is None


async def test_a_text_that_can_not_be_sent_is_refused():
    async with backend(lambda http: pytest.fail("sent")) as client:
        with pytest.raises(BadInput, match=r"character 2 .*surrogate"):
            await client.complete([Request("ab\ud800", 5)])


async def test_a_reply_that_is_no_completion_is_charged_its_bound():
    for content in (
        b"",
        b"[]",
        b"null",
        b'{"choices": []}',
        b'{"choices": [{"text": 3}]}',
        b"\xff",
    ):
        async with backend(lambda http, c=content: httpx.Response(200, content=c)) as client:
            with pytest.raises(BackendError, match="unreadable reply") as failed:
                await client.complete([ASK])
            assert failed.value.usage.tokens == client.upper_bound(ASK).tokens


async def test_cancelling_ends_all_calls():
    with MockServer(fault=lambda n: Fault("hang")) as server:
        async with OpenAIBackend(
            "m", server.base_url, template_tokens=TEMPLATE_TOKENS, concurrency=4
        ) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await client.complete([ASK] * 6)
            assert len(asyncio.all_tasks()) == 1
