"""Upstreams that fail, clients that leave, limits reached: what is told, what is charged."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from counting_upstream import CountingUpstream, Say, obliging
from running_gateway import Running, config_for, running

ASK = [{"role": "user", "content": "why is that so"}]


def served(folder: Path, upstream: CountingUpstream, **sections) -> Iterator[Running]:
    with running(config_for(upstream.base_url, folder, **sections), upstream) as found:
        yield found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with CountingUpstream() as upstream:
        folder = tmp_path_factory.mktemp("gateway")
        requests = {"timeout_s": 1.5, "auto": ["m", "small"]}
        yield from served(folder, upstream, requests=requests, ledger={
            "place": str(folder / "gateway.sqlite"), "ttl_s": 30.0,
        })  # fmt: skip


@pytest.fixture
def gateway(shared: Running) -> Iterator[Running]:
    shared.upstream.say = obliging
    shared.start()
    yield shared
    shared.spent()


def stream_of(gateway: Running, **body) -> tuple[int, list[str]]:
    asked = {"model": "m", "messages": ASK, "stream": True, **body}
    with gateway.client.stream("POST", "/v1/chat/completions", json=asked) as response:
        return response.status_code, [line for line in response.iter_lines() if line]


REFUSALS = {
    "bad request": (400, 400, "no"),
    "unknown there": (404, 404, "no"),
    "too long": (413, 413, "no"),
    "unprocessable": (422, 422, "no"),
    "our key there": (401, 502, "upstream_failed"),
    "not paid there": (402, 502, "upstream_failed"),
    "not allowed there": (403, 502, "upstream_failed"),
    "busy": (429, 429, "upstream_rate_limited"),
    "broken": (500, 502, "upstream_failed"),
    "away": (503, 502, "upstream_failed"),
}


@pytest.mark.parametrize("model", ["m", "self_consistency:m"])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", REFUSALS)
def test_an_upstream_that_refuses_is_told_as_it_is_and_costs_nothing(
    gateway, name, streamed, model
):
    status, told, code = REFUSALS[name]
    busy = {"retry-after": "7"} if status in (429, 500, 503) else {}
    gateway.upstream.say = lambda body: Say(status=status, headers=busy)
    reply = gateway.chat(model=model, stream=streamed)
    assert reply.status_code == told
    error = reply.json()["error"]
    assert error["code"] == code
    assert "sk-" not in error["message"]
    assert gateway.spent() == (0, 0)
    assert reply.headers.get("retry-after") == busy.get("retry-after")
    assert gateway.records[-1].status == told


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_that_is_lost_is_charged_at_its_bound(gateway, streamed):
    gateway.upstream.say = lambda body: Say(status=502)
    reply = gateway.chat(stream=streamed, max_tokens=50)
    assert (reply.status_code, reply.json()["error"]["code"]) == (502, "upstream_failed")
    assert reply.json()["bursar"]["spent"]["tokens_out"] == 50
    assert reply.json()["bursar"]["estimated"]
    assert gateway.spent() == gateway.billed()
    assert gateway.records[-1].spent.tokens_out == 50


@pytest.mark.parametrize("streamed", [False, True])
def test_an_upstream_that_is_too_slow_is_504(gateway, streamed):
    gateway.upstream.say = lambda body: Say(first_s=10)
    began = time.monotonic()
    reply = gateway.chat(stream=streamed, max_tokens=50)
    assert (reply.status_code, reply.json()["error"]["code"]) == (504, "upstream_failed")
    assert 1.4 < time.monotonic() - began < 3
    assert gateway.spent() == gateway.billed()


def test_a_stream_that_breaks_off_says_so_and_charges_what_came(gateway):
    gateway.upstream.say = lambda body: Say("one two three four", cut=2)
    status, lines = stream_of(gateway)
    assert status == 200
    assert "data: [DONE]" not in lines
    last = json.loads(lines[-1].removeprefix("data: "))
    assert last["error"]["code"] == "upstream_failed"
    assert last["bursar"]["estimated"]
    gateway.bills.append(last["bursar"])
    assert gateway.spent() == gateway.billed()
    assert gateway.spent()[1] >= gateway.upstream.billed[1] == 2
    assert gateway.records[-1].status == 502
    assert gateway.records[-1].spent.tokens_out == gateway.spent()[1]


def test_a_stream_that_stalls_ends_with_an_error(gateway):
    gateway.upstream.say = lambda body: Say("one two three four", pause_s=1.0)
    _, lines = stream_of(gateway)
    last = json.loads(lines[-1].removeprefix("data: "))
    assert "deadline" in last["error"]["message"]
    gateway.bills.append(last["bursar"])
    assert gateway.spent() == gateway.billed()


def leave_after(gateway: Running, body: dict, wanted: bytes) -> None:
    """Ask, wait until `wanted` has come, or for a moment, and hang up."""
    content = json.dumps({"messages": ASK, **body}).encode()
    with socket.create_connection(("127.0.0.1", int(gateway.url.rpartition(":")[2]))) as client:
        client.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            b"content-type: application/json\r\n"
            + f"content-length: {len(content)}\r\n\r\n".encode()
            + content
        )
        client.settimeout(5)
        came = b""
        while wanted and wanted not in came:
            came += client.recv(4096) or wanted
        if not wanted:
            before = time.monotonic() + 5
            while not gateway.upstream.open and time.monotonic() < before:
                time.sleep(0.005)


@pytest.mark.parametrize("model", ["m", "self_consistency:m", "auto"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_client_that_leaves_stops_the_upstream_and_is_charged(gateway, streamed, model):
    gateway.upstream.say = lambda body: Say("word " * 100, pause_s=0.01)
    wanted = b"word" if streamed and model == "m" else b""
    body = {"model": model, "stream": streamed, "max_tokens": 100}
    leave_after(gateway, body, wanted)
    gateway.settled()
    billed = gateway.upstream.billed
    assert not any(made.ended for made in gateway.upstream.made)
    spent = gateway.spent()
    assert all(s >= b for s, b in zip(spent, billed, strict=True))
    (record,) = gateway.records
    assert (record.status, record.error) == (499, "client_left")
    recorded = record.spent.tokens_in or 0, record.spent.tokens_out or 0
    assert recorded == spent
    if streamed and model == "m":
        assert spent[1] < 100 * 5, "no more than the bytes that came"


def test_a_client_that_leaves_while_a_strategy_runs_pays_for_its_calls_only(gateway):
    count = 0

    def say(body):
        nonlocal count
        count += 1
        return Say("answer", pause_s=0.0 if count <= 3 else 5.0)

    gateway.upstream.say = say
    body = {"model": "self_consistency:m", "max_tokens": 100, "budget": "1500 tokens"}
    leave_after(gateway, body, b"")
    gateway.settled()
    spent = gateway.spent()
    assert sum(gateway.upstream.billed) <= sum(spent) <= 1500


STRATEGIES = ("self_consistency:m", "best_of_n:m", "auto", "self_consistency:small")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("model", STRATEGIES)
def test_strategies_answer_and_their_bills_add_up(gateway, model, streamed):
    answers = iter(["the answer is 4", "the answer is 4", "the answer is 5", "4"] * 100)
    gateway.upstream.say = lambda body: Say(next(answers))
    if streamed:
        _, lines = stream_of(gateway, model=model, max_tokens=64)
        chunks = [json.loads(line[6:]) for line in lines[:-1]]
        assert lines[-1] == "data: [DONE]"
        text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks)
        bill = chunks[-1]["bursar"]
        gateway.bills.append(bill)
    else:
        reply = gateway.chat(model=model, max_tokens=64).json()
        text, bill = reply["choices"][0]["message"]["content"], reply["bursar"]
    assert text in ("the answer is 4", "4")
    assert bill["strategy"] == model.partition(":")[0]
    assert 1 <= len(gateway.upstream.made) <= 8
    assert sum(call.get("calls", 1) for call in bill["calls"]) == len(gateway.upstream.made)
    gateway.check_sums()


def test_an_effort_is_the_budget_of_a_strategy_and_not_passed_on(gateway):
    calls = {}
    for effort in ("none", "low", "medium", "high"):
        gateway.upstream.made.clear()
        gateway.chat(model="self_consistency:m", max_tokens=64, reasoning_effort=effort)
        calls[effort] = len(gateway.upstream.made)
        assert not any("reasoning_effort" in made.body for made in gateway.upstream.made)
    assert calls == {"none": 1, "low": 4, "medium": 8, "high": 16}


@pytest.mark.parametrize("budget", ["3 requests", "600 tokens", "0.0006 USD", "1 s, 2000 tokens"])
def test_strategies_stay_within_the_request_s_budget(gateway, budget):
    pause_s = 0.05 if "s," in budget else 0.0
    gateway.upstream.say = lambda body: Say("the answer is 4", pause_s=pause_s)
    reply = gateway.chat(model="self_consistency:m", max_tokens=64, within=budget)
    spent = reply.json()["bursar"]["spent"]
    assert reply.status_code == 200
    assert len(gateway.upstream.made) >= 1
    match budget.split():
        case ["3", "requests"]:
            assert len(gateway.upstream.made) == 3
        case ["600", "tokens"]:
            assert spent["tokens_in"] + spent["tokens_out"] <= 600
        case ["0.0006", "USD"]:
            assert spent["usd"] <= 0.0006
        case _:
            assert spent["seconds"] <= 1.2
    if reply.json()["bursar"]["estimated"]:  # a call was under way when time was up
        assert gateway.spent() >= gateway.upstream.billed
    else:
        gateway.check_sums()


def test_a_strategy_whose_budget_pays_for_nothing_is_402(gateway):
    reply = gateway.chat(model="self_consistency:m", within="10 tokens")
    assert (reply.status_code, reply.json()["error"]["code"]) == (402, "budget_exceeded")
    assert gateway.spent() == (0, 0)


def test_an_agents_turn_through_auto_is_one_call(gateway):
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    reply = gateway.chat(model="auto", tools=[tool]).json()
    assert reply["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "f"
    assert len(gateway.upstream.made) == 1
    gateway.check_sums()


@pytest.mark.parametrize(
    ("limits", "status"),
    [("0.003 USD", 402), ("0.003 USD per day", 429), ("1 request per minute", 429)],
)
def test_a_limit_that_is_reached(tmp_path, limits, status):
    with CountingUpstream() as upstream:
        access = {"keys": "none", "limits": limits}
        for gateway in served(tmp_path, upstream, access=access):
            assert gateway.chat(max_tokens=1000).status_code == 200
            told = gateway.chat(max_tokens=1418)
            error = told.json()["error"]
            assert (told.status_code, error["code"]) == (status, "budget_exceeded")
            assert error["bursar"]["scope"] == "local/everyone/local"
            assert (told.headers.get("retry-after") is None) == (status == 402)
            wait = int(told.headers.get("retry-after") or 0)
            told_not_to = told.headers.get("x-should-retry") == "false"
            assert told_not_to == (status == 402 or wait > 60)
            assert len(upstream.made) == 1


def test_who_may_not_come_in(tmp_path):
    with CountingUpstream() as upstream:
        for gateway in served(tmp_path, upstream, access={"keys": "required"}):
            for headers in ({}, {"authorization": "Bearer sk-nobody"}):
                told = gateway.client.post(
                    "/v1/chat/completions", json={"model": "m"}, headers=headers
                )
                assert (told.status_code, told.json()["error"]["code"]) == (401, "invalid_api_key")
                told = gateway.client.get("/v1/models", headers=headers)
                assert told.status_code == 401


def test_paths_and_methods_that_are_not(gateway):
    told = gateway.client.post("/v1/audio/speech", json={})
    assert (told.status_code, told.json()["error"]["code"]) == (404, "not_found")
    told = gateway.client.get("/v1/chat/completions")
    assert (told.status_code, told.json()["error"]["code"]) == (405, "method_not_allowed")
    told = gateway.chat(model="gpt-none")
    assert (told.status_code, told.json()["error"]["code"]) == (404, "model_not_found")
