"""openai-python against a gateway: everything a program does with it, and what it costs."""

import asyncio
import json
import time

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from counting_upstream import Say

ASK = [{"role": "user", "content": "where is the Louvre ?"}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
RESPONSE_TOOL = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": True}


class Place(BaseModel):
    city: str
    inhabitants: int


@pytest.fixture
def client(served):
    with OpenAI(base_url=served.url, api_key="none", max_retries=0) as found:
        yield found


def test_a_chat_and_its_bill(served, client):
    reply = client.chat.completions.create(model="m", messages=ASK)
    assert reply.choices[0].message.content == "one two three four"
    assert reply.model_extra["bursar"]["spent"]["tokens_out"] == reply.usage.completion_tokens
    raw = client.chat.completions.with_raw_response.create(model="m", messages=ASK)
    assert "tokens" in raw.headers["x-bursar-spent"]
    assert raw.request_id == raw.headers["x-request-id"]
    served.check_sums()


def test_a_stream_with_usage(served, client):
    options = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(model="m", messages=ASK, stream=True, stream_options=options)
    )
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == (
        "one two three four"
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 5
    assert chunks[-1].model_extra["bursar"]["spent"]["tokens_out"] == 5
    with client.chat.completions.stream(model="m", messages=ASK) as helper:
        assert helper.get_final_completion().choices[0].message.content == "one two three four"
    served.check_sums()


def test_tools_until_the_answer(served, client):
    messages = list(ASK)
    call = client.chat.completions.create(model="m", messages=messages, tools=[TOOL])
    message = call.choices[0].message
    assert json.loads(message.tool_calls[0].function.arguments) == {"city": "Paris"}
    messages += [
        message,
        {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny"},
    ]
    last = client.chat.completions.create(model="m", messages=messages, tools=[TOOL])
    assert last.choices[0].message.content == "the tool said sunny"
    with client.chat.completions.stream(model="m", messages=ASK, tools=[TOOL]) as helper:
        found = helper.get_final_completion().choices[0].message.tool_calls[0]
    assert found.function.arguments == '{"city": "Paris"}'
    served.check_sums()


def test_structured_output(served, client):
    parsed = client.chat.completions.parse(model="m", messages=ASK, response_format=Place)
    assert parsed.choices[0].message.parsed == Place(city="Paris", inhabitants=42)
    parsed = client.responses.parse(model="m", input="where ?", text_format=Place)
    assert parsed.output_parsed == Place(city="Paris", inhabitants=42)
    served.check_sums()


def test_embeddings_completions_and_models(served, client):
    found = client.embeddings.create(model="m", input=["a b", "c"])  # base64 on the wire
    assert found.data[1].embedding == [1.0, 0.5, 0.5, 0.5]
    found = client.embeddings.create(model="m", input="a", dimensions=2)
    assert found.data[0].embedding == [0, 0.5]
    done = client.completions.create(model="m", prompt=["a", "b"], echo=True, max_tokens=2)
    assert [choice.text for choice in done.choices] == ["aone two", "bone two"]
    assert [model.id for model in client.models.list()] == ["m"]
    assert client.models.retrieve("m").id == "m"
    served.check_sums()


def test_a_response(served, client):
    reply = client.responses.create(
        model="m", instructions="be short", input="where ?", max_output_tokens=3, store=False
    )
    assert reply.output_text == "one two three"
    assert (reply.status, reply.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert reply.usage.output_tokens == 3
    assert reply.model_extra["bursar"]["spent"]["tokens_out"] == 3
    sent = served.upstream.made[-1].body["messages"]
    assert [message["role"] for message in sent] == ["system", "user"]
    served.check_sums()


def test_a_response_s_events_in_order(served, client):
    events = list(client.responses.create(model="m", input="where ?", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * 4,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert events[8].text == events[-1].response.output_text == "one two three four"
    assert events[-1].response.model_extra["bursar"]["spent"]["tokens_out"] == 5
    with client.responses.stream(model="m", input="where ?") as helper:
        assert helper.get_final_response().output_text == "one two three four"
    served.check_sums()


@pytest.mark.parametrize("streamed", [False, True])
def test_a_response_s_tools_until_the_answer(served, client, streamed):
    asked = {"model": "m", "input": [{"role": "user", "content": "where ?"}]}
    if streamed:
        with client.responses.stream(**asked, tools=[RESPONSE_TOOL]) as helper:
            kinds = [event.type for event in helper]
            reply = helper.get_final_response()
        assert "response.function_call_arguments.delta" in kinds
        assert kinds[-1] == "response.completed"
    else:
        reply = client.responses.create(**asked, tools=[RESPONSE_TOOL])
    (call,) = reply.output
    assert (call.type, call.name, json.loads(call.arguments)) == (
        "function_call",
        "weather",
        {"city": "Paris"},
    )
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    items = [*asked["input"], call.model_dump(exclude_none=True), result]
    last = client.responses.create(model="m", input=items, tools=[RESPONSE_TOOL])
    assert last.output_text == "the tool said sunny"
    roles = [message["role"] for message in served.upstream.made[-1].body["messages"]]
    assert roles == ["user", "assistant", "tool"]
    served.check_sums()


def test_what_responses_can_not_do_is_said(served, client):
    for more in (
        {"previous_response_id": "resp_1"},
        {"background": True},
        {"tools": [{"type": "web_search"}]},
        {"input": [{"type": "item_reference", "id": "x"}]},
        {"input": [{"type": ["message"], "role": "user", "content": "x"}]},
        {"input": [{"role": ["user"], "content": "x"}]},
        {"input": []},
        {"extra_body": {"colour": "red"}},
    ):
        with pytest.raises(openai.BadRequestError) as told:
            client.responses.create(**{"model": "m", "input": "x", **more})
        assert told.value.code == "invalid_request"
    assert not served.upstream.made


def test_strategies_through_both_endpoints(served, client):
    served.upstream.say = lambda body: Say("the answer is 4")
    for model in ("auto", "self_consistency:m"):
        reply = client.chat.completions.create(
            model=model, messages=ASK, extra_body={"budget": "1000 tokens"}, max_tokens=20
        )
        bill = reply.model_extra["bursar"]
        assert bill["strategy"] == model.partition(":")[0]
        assert bill["spent"]["tokens_in"] + bill["spent"]["tokens_out"] <= 1000
        said = client.responses.create(
            model=model, input="how many ?", extra_headers={"x-bursar-budget": "1000 tokens"}
        )
        assert said.output_text == "the answer is 4"
    served.check_sums()


def test_errors_are_the_sdk_s_own(served, client):
    with pytest.raises(openai.NotFoundError) as told:
        client.chat.completions.create(model="gpt-none", messages=ASK)
    assert told.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="m", messages=[])
    with pytest.raises(openai.APIStatusError) as told:
        client.chat.completions.create(
            model="m", messages=ASK, extra_headers={"x-bursar-budget": "3 tokens"}
        )
    assert (told.value.status_code, told.value.code) == (402, "budget_exceeded")
    assert told.value.body["bursar"]["limit"] == 3
    served.upstream.say = lambda body: Say(status=500)
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="m", messages=ASK)
    assert not any(made.ended for made in served.upstream.made)


def test_a_stream_that_breaks_off_raises(served, client):
    served.upstream.say = lambda body: Say("one two three four", cut=2)
    with pytest.raises(openai.APIError):
        list(client.chat.completions.create(model="m", messages=ASK, stream=True))
    with pytest.raises(openai.APIError):
        list(client.responses.create(model="m", input="where ?", stream=True))


def test_it_retries_as_long_as_it_is_told(served):
    answers = iter([Say(status=429, headers={"retry-after": "1"}), Say("then")])
    served.upstream.say = lambda body: next(answers)
    began = time.monotonic()
    with OpenAI(base_url=served.url, api_key="none", max_retries=2) as patient:
        reply = patient.chat.completions.create(model="m", messages=ASK)
    assert reply.choices[0].message.content == "then"
    assert time.monotonic() - began >= 1.0
    served.check_sums()


def test_a_timeout_of_the_client_is_charged(served):
    served.upstream.say = lambda body: Say("late", first_s=5)
    with (
        OpenAI(base_url=served.url, api_key="none", max_retries=0, timeout=0.5) as hasty,
        pytest.raises(openai.APITimeoutError),
    ):
        hasty.chat.completions.create(model="m", messages=ASK, max_tokens=10)
    charged = served.ledger_s()
    assert charged[1] - served.before[1] == 10


async def test_many_at_once(served):
    async with AsyncOpenAI(base_url=served.url, api_key="none") as client:

        async def one(number: int) -> str:
            if number % 2:
                reply = await client.chat.completions.create(model="m", messages=ASK)
                return reply.choices[0].message.content
            said = ""
            async for chunk in await client.chat.completions.create(
                model="m", messages=ASK, stream=True
            ):
                said += chunk.choices[0].delta.content or "" if chunk.choices else ""
            return said

        assert await asyncio.gather(*map(one, range(20))) == ["one two three four"] * 20
    served.check_sums()


@pytest.mark.parametrize(
    ("limits", "kind"),
    [("0.003 USD", openai.APIStatusError), ("0.003 USD per day", openai.RateLimitError)],
)
def test_a_budget_that_is_spent_is_not_retried(serve, limits, kind):
    served = serve(limits)
    with OpenAI(base_url=served.url, api_key="none", max_retries=5) as client:
        client.chat.completions.create(model="m", messages=ASK, max_tokens=1000)
        began = time.monotonic()
        with pytest.raises(kind) as told:
            client.chat.completions.create(model="m", messages=ASK, max_tokens=1415)
        assert told.value.code == "budget_exceeded"
        assert told.value.body["bursar"]["scope"] == "local/everyone/local"
        assert time.monotonic() - began < 2
        assert len(served.upstream.made) == 1
