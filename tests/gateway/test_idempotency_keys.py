"""Idempotency keys: asked once, billed once, given again; also meanwhile, and after failures."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from bursar.errors import BadInput
from bursar.gateway.errors import Refused
from bursar.gateway.idempotency import KEPT_S, Answers, Claim, Stored, Tape
from bursar.gateway.tenants.database import Database
from counting_upstream import CountingUpstream, Say, obliging
from running_gateway import Running, config_for, running

ASK = [{"role": "user", "content": "why is that so"}]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with CountingUpstream() as upstream:
        config = config_for(upstream.base_url, tmp_path_factory.mktemp("gateway"))
        with running(config, upstream) as found:
            yield found


@pytest.fixture
def gateway(shared: Running) -> Iterator[Running]:
    shared.upstream.say = obliging
    shared.start()
    yield shared
    shared.spent()


def ask(gateway: Running, key: str, path: str = "chat/completions", **body) -> httpx.Response:
    asked = {"model": "m", **({"input": "why"} if path == "responses" else {"messages": ASK})}
    return gateway.client.post(
        f"/v1/{path}", json={**asked, **body}, headers={"idempotency-key": key}
    )


@pytest.mark.parametrize("path", ["chat/completions", "responses"])
@pytest.mark.parametrize("streamed", [False, True])
def test_the_same_request_is_answered_again_and_billed_once(gateway, path, streamed):
    key = f"{path} {streamed}"
    first = ask(gateway, key, path, stream=streamed)
    again = [ask(gateway, key, path, stream=streamed) for _ in range(3)]
    assert "x-bursar-replayed" not in first.headers
    for reply in again:
        assert reply.headers["x-bursar-replayed"] == "true"
        assert reply.status_code == 200
        assert reply.content == first.content
        assert reply.headers["content-type"] == first.headers["content-type"]
        assert reply.headers["x-request-id"] != first.headers["x-request-id"]
    assert ("text/event-stream" in first.headers["content-type"]) == streamed
    assert len(gateway.upstream.made) == 1
    assert gateway.spent() == gateway.upstream.billed


def test_another_request_with_the_key_is_422(gateway):
    assert ask(gateway, "mine").status_code == 200
    for told in (
        ask(gateway, "mine", temperature=1),
        ask(gateway, "mine", path="responses"),
        gateway.client.post(
            "/v1/chat/completions",
            json={"model": "m", "messages": ASK},
            headers={"idempotency-key": "mine", "x-bursar-budget": "1 USD"},
        ),
    ):
        assert told.status_code == 422
        assert told.json()["error"]["code"] == "idempotency_key_reused"
    assert len(gateway.upstream.made) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_keys_that_are_none(gateway, key):
    assert ask(gateway, key).status_code == 400


def test_those_who_come_meanwhile_wait_for_the_first(gateway):
    gateway.upstream.say = lambda body: Say("slow", pause_s=0.5)
    with ThreadPoolExecutor(5) as pool:
        replies = list(pool.map(lambda _: ask(gateway, "at once"), range(5)))
    assert len({reply.content for reply in replies}) == 1
    assert sum("x-bursar-replayed" in reply.headers for reply in replies) == 4
    assert len(gateway.upstream.made) == 1
    assert gateway.spent() == gateway.upstream.billed


def test_who_waits_too_long_is_told_when_to_come_again(gateway):
    gateway.upstream.say = lambda body: Say("slow", first_s=1.5)
    answers = gateway.gateway.counter.answers
    answers.wait_s = 0.2
    try:
        first = threading.Thread(target=ask, args=(gateway, "long"))
        first.start()
        time.sleep(0.4)
        told = ask(gateway, "long")
        first.join()
    finally:
        answers.wait_s = 20.0
    assert (told.status_code, told.json()["error"]["code"]) == (409, "idempotency_key_in_use")
    assert told.headers["retry-after"] == "2"
    assert "x-should-retry" not in told.headers
    assert ask(gateway, "long").headers["x-bursar-replayed"] == "true"


def test_a_failure_is_not_kept(gateway):
    gateway.upstream.say = lambda body: Say(status=500)
    assert ask(gateway, "again").status_code == 502
    assert ask(gateway, "again", temperature=1).status_code == 502
    gateway.upstream.say = lambda body: Say("one two three", cut=1)
    assert "error" in ask(gateway, "again", stream=True).text
    gateway.upstream.say = obliging
    assert ask(gateway, "again").status_code == 200
    assert ask(gateway, "again").headers["x-bursar-replayed"] == "true"


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_is_made_also_for_one_who_has_left(gateway, streamed):
    gateway.upstream.say = lambda body: Say("a b c d e", pause_s=0.1)
    with pytest.raises(httpx.ReadTimeout):
        gateway.client.post(
            "/v1/chat/completions",
            json={"model": "m", "messages": ASK, "stream": streamed},
            headers={"idempotency-key": f"left {streamed}"},
            timeout=0.05,
        )
    reply = ask(gateway, f"left {streamed}", stream=streamed)
    assert reply.headers["x-bursar-replayed"] == "true"
    assert ("[DONE]" in reply.text) == streamed
    assert len(gateway.upstream.made) == 1
    assert gateway.spent() == gateway.upstream.billed


@pytest.fixture
def database(tenants_place: str) -> Iterator[Database]:
    found = Database(tenants_place)
    yield found
    found.close()


async def taped(content: bytes = b"{}") -> Tape:
    async def nowhere(message: object) -> None:
        pass

    tape = Tape(nowhere)
    head = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"x")]}
    await tape.send(head)
    await tape.send({"type": "http.response.body", "body": content})
    return tape


async def test_workers_share_keys_and_accounts_do_not(database):
    one, two = Answers(database, lease_s=60), Answers(database, lease_s=60, wait_s=0.0)
    claim = await one.claim("acme/a/k", "key", b"asked", "req_1")
    assert isinstance(claim, Claim)
    with pytest.raises(Refused, match="under way"):
        await two.claim("acme/a/k", "key", b"asked", "req_2")
    with pytest.raises(Refused, match="another request"):
        await two.claim("acme/a/k", "key", b"else", "req_2")
    assert isinstance(await two.claim("acme/b/k", "key", b"else", "req_3"), Claim)
    await claim.keep(await taped(b"said"))
    found = await two.claim("acme/a/k", "key", b"asked", "req_4")
    assert isinstance(found, Stored)
    assert (found.content, found.headers) == (b"said", [(b"content-type", b"x")])


async def test_after_a_crash_the_key_is_free_again(database):
    now = 1000.0
    crashed = Answers(database, lease_s=60, clock=lambda: now, worker="elsewhere/1/1")
    first = await crashed.claim("a", "key", b"asked", "req_1")
    after = Answers(database, lease_s=60, clock=lambda: now, wait_s=0.0)
    with pytest.raises(Refused):
        await after.claim("a", "key", b"asked", "req_2")
    now += 61
    second = await after.claim("a", "key", b"other", "req_3")
    assert isinstance(second, Claim)
    assert isinstance(first, Claim)
    await first.keep(await taped(b"late"))  # it was not dead after all: too late
    await second.keep(await taped(b"mine"))
    found = await after.claim("a", "key", b"other", "req_4")
    assert isinstance(found, Stored)
    assert found.content == b"mine"


async def test_a_dead_worker_of_this_machine_is_known_at_once(database):
    here = Answers(database, lease_s=1e9).worker.split("/")[0]
    dead = Answers(database, lease_s=1e9, worker=f"{here}/999999999/1")
    await dead.claim("a", "key", b"asked", "req_1")
    alive = Answers(database, lease_s=60, wait_s=0.0)
    assert isinstance(await alive.claim("a", "key", b"asked", "req_2"), Claim)


async def test_many_claims_at_once_have_one_winner(database):
    answers = [Answers(database, lease_s=60, wait_s=0.0) for _ in range(8)]
    claims = [a.claim("a", "key", b"asked", f"req_{i}") for i, a in enumerate(answers)]
    found = await asyncio.gather(*claims, return_exceptions=True)
    assert sum(isinstance(f, Claim) for f in found) == 1
    assert all(isinstance(f, Claim | Refused) for f in found)


async def test_answers_are_kept_for_a_day(database):
    now = 1000.0
    answers = Answers(database, lease_s=60, clock=lambda: now)
    for key in ("old", "older"):
        claim = await answers.claim("a", key, b"asked", "req_1")
        assert isinstance(claim, Claim)
        await claim.keep(await taped())
    now += KEPT_S + 1
    assert isinstance(await answers.claim("a", "old", b"other", "req_2"), Claim)
    with database.read() as connection:
        (count,) = connection.exec_driver_sql("SELECT count(*) FROM bursar_answers").one()
    assert count == 1
    with pytest.raises(BadInput):
        await answers.claim("a", "a\nb", b"", "req_3")
