"""Several upstreams as one: where calls go, what is tried again, and what it may all have cost."""

import asyncio
from collections import Counter
from random import Random

import pytest

from bursar.errors import BadInput
from bursar.gateway.upstream import (
    CHOICES,
    Attempt,
    BreakerSettings,
    Hedge,
    Member,
    OpenAIUpstream,
    Pool,
    Reply,
    Retry,
    Tokens,
    UpstreamFailed,
)
from loopback import ask, chat, chunk, loopback

USED = Tokens(5, 3)
FREE = {"may_be_billed": False, "repeatable": True, "status": 503}
BILLED = {"may_be_billed": True, "repeatable": True, "status": 502}
REFUSED = {"may_be_billed": False, "repeatable": False, "status": 400}
QUICK = Retry(rounds=3, backoff_s=0.001)


class Scripted:
    """An upstream that does what is next on its list, the last for ever after.

    A thing on the list: what a failure is made of, seconds to wait, or "cut" after two chunks.
    """

    most_billed = 1

    def __init__(self, name, *acts):
        self.name, self.acts = name, list(acts) or [0]
        self.begun = self.cancelled = self.now = self.most = self.billed = 0
        self.well = True

    async def act(self):
        act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
        self.begun += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if isinstance(act, dict):
                act = dict(act)
                self.billed += act["may_be_billed"]
                await asyncio.sleep(act.pop("after_s", 0))
                raise UpstreamFailed(f"{self.name} failed", **act)
            self.billed += 1
            await asyncio.sleep(0 if act == "cut" else act)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.now -= 1
        return act

    async def complete(self, call):
        await self.act()
        return Reply({"from": self.name}, USED, self.name)

    def stream(self, call):
        return ScriptedStream(self)

    async def probe(self):
        if not self.well:
            raise UpstreamFailed("away", may_be_billed=False, repeatable=True)

    async def aclose(self):
        self.closed = True


class ScriptedStream:
    others = ()

    def __init__(self, owner):
        self.owner, self.upstream, self.tokens = owner, owner.name, None

    async def __aenter__(self):
        self.act = await self.owner.act()
        self.owner.now += 1
        return self

    async def __aexit__(self, *_):
        self.owner.now -= 1

    async def __aiter__(self):
        yield {"choices": [1]}
        if self.act == "cut":
            raise UpstreamFailed("cut", may_be_billed=True, repeatable=True)
        self.tokens = USED
        yield {"choices": []}


def pool(*upstreams, **settings):
    members = [u if isinstance(u, Member) else Member(u) for u in upstreams]
    return Pool("m", members, rng=Random(1), **{"retry": QUICK, **settings})


async def failure(pool, call=None):
    with pytest.raises(UpstreamFailed) as caught:
        await pool.complete(call or ask())
    return caught.value


async def streamed(pool, call=None):
    async with pool.stream(call or ask()) as chunks:
        return [chunk async for chunk in chunks], chunks


async def test_a_free_failure_goes_to_the_next_and_costs_nothing():
    bad, good = Scripted("bad", FREE), Scripted("good")
    both = pool(Member(bad, weight=9), good)
    reply = await both.complete(ask())
    assert (reply.upstream, reply.others) == ("good", ())
    found, chunks = await streamed(both)
    assert len(found) == 2
    assert (chunks.upstream, chunks.others, chunks.tokens) == ("good", (), USED)
    assert bad.begun == 2


async def test_a_billed_failure_is_tried_again_only_if_the_hold_covers_it():
    bad, good = Scripted("bad", BILLED), Scripted("good")
    both = pool(Member(bad, weight=9), good)
    failed = await failure(both)
    assert (failed.may_be_billed, failed.others, failed.upstream) == (True, (), "bad")
    assert good.begun == 0
    reply = await both.complete(ask(attempts=2))
    assert (reply.upstream, reply.others) == ("good", (Attempt("bad"),))
    _, chunks = await streamed(both, ask(attempts=2))
    assert chunks.others == (Attempt("bad"),)


async def test_what_the_client_did_wrong_is_not_tried_again_nor_held_against_the_upstream():
    first, second = Scripted("first", REFUSED), Scripted("second", REFUSED)
    both = pool(first, second, breaker=BreakerSettings(most_failures=1))
    for _ in range(3):
        assert (await failure(both)).status == 400
    assert first.begun + second.begun == 3
    assert {u["state"] for u in both.snapshot()["upstreams"]} == {"closed"}


async def test_an_upstream_that_does_not_know_us_is_passed_over_without_further_rounds():
    unknown = {**FREE, "status": 401}
    strange, good = Scripted("strange", unknown), Scripted("good")
    assert (await pool(Member(strange, weight=9), good).complete(ask())).upstream == "good"
    assert (await failure(pool(Scripted("alone", unknown)))).status == 401
    alone = Scripted("alone", unknown)
    await failure(pool(alone))
    assert alone.begun == 1


async def test_rounds_end_and_are_apart():
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    bad, worse = Scripted("bad", FREE), Scripted("worse", FREE)
    retry = Retry(rounds=4, backoff_s=1)
    both = pool(bad, worse, retry=retry, sleep=sleep, breaker=BreakerSettings(most_failures=99))
    await failure(both, ask(seconds=100))
    assert (bad.begun, worse.begun) == (4, 4)
    assert len(waits) == 3
    assert all(0 <= wait <= most for wait, most in zip(waits, [1, 2, 4], strict=True))
    assert len(set(waits)) == 3


async def test_no_round_begins_past_the_deadline():
    bad = Scripted("bad", FREE)
    await failure(pool(bad, retry=Retry(backoff_s=1e9, backoff_cap_s=1e9)), ask(seconds=1))
    assert bad.begun == 1


async def test_a_cut_stream_fails_for_good_and_its_upstream_is_told():
    both = pool(Scripted("a", "cut"), breaker=BreakerSettings(most_failures=1))
    async with both.stream(ask(attempts=5)) as chunks:
        pieces = aiter(chunks)
        assert await anext(pieces)
        with pytest.raises(UpstreamFailed, match="cut"):
            await anext(pieces)
    (upstream,) = both.snapshot()["upstreams"]
    assert (upstream["state"], upstream["failed"], upstream["calls"]) == ("open", 1, 0)


async def test_a_stream_holds_its_place_until_it_is_left():
    one = Member(Scripted("one"), most_calls=1)
    alone = pool(one)
    async with alone.stream(ask()):
        assert alone.snapshot()["upstreams"][0]["calls"] == 1
        assert (await failure(alone, ask(seconds=0.05))).repeatable
    assert (await alone.complete(ask())).upstream == "one"


async def test_no_upstream_gets_more_calls_than_it_takes_and_all_are_served_in_order():
    a, b = Scripted("a", 0.002), Scripted("b", 0.002)
    both = pool(Member(a, most_calls=3), Member(b, most_calls=2))
    served = []

    async def one(i):
        await both.complete(ask(seconds=20))
        served.append(i)

    await asyncio.gather(*map(one, range(60)))
    assert (a.most, b.most) == (3, 2)
    assert a.begun + b.begun == 60
    assert all(abs(place - i) < 10 for place, i in enumerate(served))
    assert both.capacity == 5


async def test_the_queue_is_bounded():
    alone = pool(Member(Scripted("a", 0.1), most_calls=1), most_waiting=2)
    tasks = [asyncio.create_task(alone.complete(ask())) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert alone.snapshot()["waiting"] == 2
    failed = await failure(alone)
    assert (failed.status, failed.may_be_billed) == (503, False)
    assert failed.retry_after_s
    assert len(await asyncio.gather(*tasks)) == 3


async def test_who_gives_up_waiting_leaves_no_trace():
    slow = Scripted("a", 0.05)
    alone = pool(Member(slow, most_calls=1))
    first = asyncio.create_task(alone.complete(ask()))
    await asyncio.sleep(0.01)
    waiting = [asyncio.create_task(alone.complete(ask())) for _ in range(3)]
    await asyncio.sleep(0.01)
    for task in waiting[:2]:
        task.cancel()
    await asyncio.gather(first, waiting[2])
    assert alone.snapshot()["waiting"] == 0
    assert alone.snapshot()["upstreams"][0]["calls"] == 0
    assert slow.begun == 2


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("by_weight", {"a": 30, "b": 10}),
        ("round_robin", {"a": 20, "b": 20}),
        ("cheapest_first", {"b": 40}),
        ("least_outstanding", {"a": 40}),
        ("least_jobs", {"a": 40}),
        ("join_idle", {"a": 20, "b": 20}),
    ],
)
async def test_rules_for_calls_one_after_the_other(rule, expected):
    members = [Member(Scripted("a"), weight=3, usd_per_mtok=2), Member(Scripted("b"))]
    both = pool(*members, rule=CHOICES[rule]())
    found = Counter([(await both.complete(ask())).upstream for _ in range(40)])
    assert found == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("least_outstanding", {"a": 30, "b": 10}), ("cheapest_first", {"b": 32, "a": 8})],
)
async def test_rules_for_calls_at_a_time(rule, expected):
    a = Member(Scripted("a", 0.05), weight=3, most_calls=32, usd_per_mtok=2)
    both = pool(a, Member(Scripted("b", 0.05), most_calls=32), rule=CHOICES[rule]())
    replies = await asyncio.gather(*[both.complete(ask()) for _ in range(40)])
    assert Counter(reply.upstream for reply in replies) == expected


async def test_one_that_fails_is_left_alone_and_comes_back():
    bad, good = Scripted("bad", FREE, FREE, 0), Scripted("good")
    settings = BreakerSettings(most_failures=2, open_s=0.05)
    both = pool(Member(bad, weight=9), good, breaker=settings)
    for _ in range(6):
        assert (await both.complete(ask())).upstream == "good"
    assert bad.begun == 2
    assert both.capacity == 64
    await asyncio.sleep(0.06)
    assert (await both.complete(ask())).upstream == "bad"
    assert both.capacity == 128


async def test_all_away_is_told_with_the_time_until_one_may_be_back():
    bad = Scripted("bad", {**FREE, "retry_after_s": 30.0})
    alone = pool(bad)
    await failure(alone)
    failed = await failure(alone)
    assert failed.retry_after_s == pytest.approx(30, abs=1)
    assert "bad failed" in str(failed)
    assert bad.begun == 1


async def test_a_wait_that_ends_before_the_deadline_is_waited_for():
    bad = Scripted("bad", {**FREE, "retry_after_s": 0.05}, 0)
    assert (await pool(bad).complete(ask())).upstream == "bad"


async def test_who_waits_when_the_breaker_opens_is_served_when_it_closes():
    bad = Scripted("bad", {**BILLED, "after_s": 0.03}, 0)
    settings = BreakerSettings(most_failures=1, open_s=0.05)
    alone = pool(Member(bad, most_calls=1), breaker=settings)
    first = asyncio.create_task(alone.complete(ask()))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(alone.complete(ask(seconds=60)))
    with pytest.raises(UpstreamFailed):
        await first
    assert (await asyncio.wait_for(second, 2)).upstream == "bad"


async def test_health_checks():
    a, b = Scripted("a"), Scripted("b")
    both = pool(a, b, breaker=BreakerSettings(most_failures=1, open_s=60, most_open_s=60))
    a.well = False
    await both.check_health()
    assert [u["state"] for u in both.snapshot()["upstreams"]] == ["open", "closed"]
    assert await both.probe() is None
    a.well, b.well = True, False
    await both.check_health()
    assert [u["state"] for u in both.snapshot()["upstreams"]] == ["half open", "open"]
    a.well = False
    with pytest.raises(UpstreamFailed, match="away"):
        await both.probe()
    await both.aclose()
    assert a.closed
    assert b.closed


async def warm(slow, quick):
    """A hedging pool that has seen quick answers, and now prefers the slow one."""
    both = pool(Member(slow, weight=9), quick, hedge=Hedge(least_s=0.02, least_seen=5))
    for _ in range(5):
        await both.complete(ask())
        await streamed(both)
    assert both.most_billed == 2
    return both


@pytest.mark.parametrize("stream", [False, True])
async def test_a_slow_call_is_hedged_when_the_hold_covers_two(stream):
    slow, quick = Scripted("slow", *[0] * 10, 5), Scripted("quick")
    both = await warm(slow, quick)
    if stream:
        _, answer = await streamed(both, ask(attempts=2))
    else:
        answer = await both.complete(ask(attempts=2))
    assert (answer.upstream, answer.others) == ("quick", (Attempt("slow"),))
    assert slow.cancelled == 1
    assert [u["calls"] for u in both.snapshot()["upstreams"]] == [0, 0]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_slow_call_is_not_hedged_when_the_hold_covers_one(stream):
    slow, quick = Scripted("slow", *[0] * 10, 0.1), Scripted("quick")
    both = await warm(slow, quick)
    answer = (await streamed(both))[1] if stream else await both.complete(ask())
    assert (answer.upstream, answer.others) == ("slow", ())
    assert quick.begun == 0


async def test_the_first_may_still_win_and_the_hedge_is_stopped():
    slow, quick = Scripted("slow", *[0] * 10, 0.06), Scripted("quick", 5)
    both = await warm(slow, quick)
    reply = await both.complete(ask(attempts=2))
    assert (reply.upstream, reply.others) == ("slow", (Attempt("quick"),))
    assert quick.cancelled == 1


async def test_a_hedge_that_fails_leaves_the_first():
    slow, quick = Scripted("slow", *[0] * 10, 0.06), Scripted("quick", BILLED)
    both = await warm(slow, quick)
    reply = await both.complete(ask(attempts=2))
    assert (reply.upstream, reply.others) == ("slow", (Attempt("quick"),))


async def test_cancelling_a_hedged_call_stops_both():
    slow, quick = Scripted("slow", *[0] * 10, 5), Scripted("quick", 5)
    both = await warm(slow, quick)
    task = asyncio.create_task(both.complete(ask(attempts=2)))
    while not quick.begun:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (slow.cancelled, quick.cancelled) == (1, 1)
    assert [u["calls"] for u in both.snapshot()["upstreams"]] == [0, 0]


@pytest.mark.parametrize("seed", range(8))
async def test_never_more_is_billed_than_told_nor_told_than_covered(seed):
    rng = Random(seed)
    acts = [0, 0, 0.004, 0.03, FREE, FREE, BILLED, REFUSED, {**FREE, "retry_after_s": 0.01}]
    members = [Scripted(name, *rng.choices(acts, k=200)) for name in "abc"]
    settings = BreakerSettings(most_failures=4, open_s=0.01, most_open_s=0.02)
    hedge = Hedge(least_s=0.002, least_seen=3, quantile=0.5)
    three = pool(
        *[Member(m, most_calls=4) for m in members], hedge=hedge, breaker=settings, retry=QUICK
    )
    told = 0

    async def one():
        nonlocal told
        attempts = rng.choice([1, 2, 3])
        call = ask(seconds=rng.choice([0.02, 5]), attempts=attempts)
        try:
            if rng.random() < 0.5:
                answer = await three.complete(call)
            else:
                _, answer = await streamed(three, call)
            mine = 1 + len(answer.others)
        except UpstreamFailed as failed:
            mine = failed.may_be_billed + len(failed.others)
        assert mine <= attempts
        told += mine

    for _ in range(10):
        await asyncio.gather(*[one() for _ in range(12)])
    assert told == sum(member.billed for member in members)
    assert all(u["calls"] == 0 for u in three.snapshot()["upstreams"])


async def test_over_real_connections():
    async def broken(asked):
        await asked.json({"error": {"message": "down"}}, "503 Away")

    async def works(asked):
        if not asked.body.get("stream"):
            return await asked.json(chat())
        await asked.begin_stream()
        await asked.event(chunk("hello", finish="stop"))
        await asked.event(chunk(usage=(5, 3)))
        await asked.piece(b"data: [DONE]\n\n")
        await asked.end_stream()

    async with loopback(broken) as one, loopback(works) as two:
        away = Member(OpenAIUpstream("away", "m", one.url), weight=9)
        both = pool(away, OpenAIUpstream("there", "m", two.url))
        assert (await both.complete(ask())).upstream == "there"
        found, chunks = await streamed(both)
        assert len(found) == 2
        assert chunks.tokens == USED
        await both.aclose()
    assert len(one.asked) == 2


def test_a_pool_needs_upstreams_that_can_be_asked():
    with pytest.raises(BadInput, match="no upstreams"):
        Pool("m", [])
    with pytest.raises(BadInput, match="weight"):
        Member(Scripted("a"), weight=0)
