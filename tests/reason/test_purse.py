"""The purse: nothing is spent without a hold, and whatever happens is settled."""

import asyncio
from collections.abc import Sequence

import pytest

from arena import Arena
from bursar.backends.base import Completion, Request
from bursar.budget import Budget
from bursar.errors import BackendError, Exhausted, Unbounded
from bursar.reason.purse import Call, Purse
from bursar.usage import Usage


class Scripted:
    """Uses 30 tokens of a bound of 100; a question called "fail" fails having spent 40."""

    name = "scripted"

    def __init__(self, delay: float = 0.0) -> None:
        self.delay, self.started = delay, 0

    def upper_bound(self, request: Request) -> Usage:
        return Usage(tokens_in=10, tokens_out=90)

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        self.started += len(requests)
        await asyncio.sleep(self.delay)
        (request,) = requests
        if request.question_id == "fail":
            raise BackendError("failed", usage=Usage(tokens_in=10, tokens_out=30))
        if request.question_id == "empty":
            raise Exhausted("none left", usage=Usage.zero())
        if request.question_id == "bug":
            raise ZeroDivisionError
        return [Completion("x", Usage(tokens_in=10, tokens_out=20), "stop")]

    async def aclose(self) -> None: ...


def calls(*names: str) -> list[Call]:
    return [Call("scripted", Request("p", 90, question_id=n)) for n in names]


def purse(tokens: float | None, delay: float = 0.0) -> Purse:
    return Purse(Budget({"tokens": tokens} if tokens else None), {"scripted": Scripted(delay)})


async def test_what_a_wave_did_not_use_pays_for_the_next() -> None:
    mine = purse(250)
    done = await mine.complete(calls(*"abcdefgh"))
    assert sum(isinstance(d, Completion) for d in done) == 6  # 250 - 6 x 30 < the bound of 100
    assert [d is None for d in done] == [False] * 6 + [True] * 2
    assert mine.spent.tokens == 180


async def test_each_call_is_a_request_whatever_the_backend_says_of_it() -> None:
    mine = Purse(Budget("3 requests, 1k tokens"), {"scripted": Scripted()})
    done = await mine.complete(calls("a", "fail", "b", "c"))
    assert [d is None for d in done] == [False, False, False, True]
    assert mine.spent.requests == 3
    assert mine.upper_bound(calls("a")[0]).requests == 1


async def test_a_failed_call_is_charged_what_it_had_spent_and_the_others_go_on() -> None:
    mine = purse(1000)
    done = await mine.complete(calls("a", "fail", "empty", "b"))
    assert [type(d).__name__ for d in done] == [
        "Completion",
        "BackendError",
        "Exhausted",
        "Completion",
    ]
    assert mine.spent.tokens == 30 + 40 + 0 + 30
    assert mine.failure is None


async def test_when_every_call_fails_spending_stops() -> None:
    mine = purse(200)
    done = await mine.complete(calls(*["fail"] * 8))
    assert mine.failure is not None
    assert sum(d is not None for d in done) == 2  # the first wave
    assert mine.spent.tokens == 80


async def test_running_out_of_recordings_is_no_failure() -> None:
    mine = purse(1000)
    await mine.complete(calls("empty", "empty"))
    assert mine.failure is None


async def test_a_cancelled_wave_is_charged_at_its_bound_and_nothing_stays_held() -> None:
    mine = purse(1000, delay=5.0)
    task = asyncio.ensure_future(mine.complete(calls("a", "b")))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert mine.spent.tokens == 200
    assert mine.budget.held.tokens == 0
    assert all(line.estimated for line in mine.budget.lines)


async def test_a_bug_in_a_backend_is_charged_at_its_bound_and_loses_no_other_calls_spend() -> None:
    mine = purse(1000)
    done = await mine.complete(calls("a", "bug"))
    assert [type(d) for d in done] == [Completion, BackendError]
    assert mine.spent.tokens == 30 + 100
    assert mine.budget.held.tokens == 0


async def test_what_cannot_be_bounded_is_not_started() -> None:
    mine = Purse(Budget({"joules": 10.0}), {"scripted": Scripted()})
    with pytest.raises(Unbounded, match="joules"):
        await mine.complete(calls("a"))


async def test_the_limit_holds_when_many_spend_from_one_purse_at_once() -> None:
    mine = purse(1000, delay=0.01)
    await asyncio.gather(*(mine.complete(calls(*"abcdefgh")) for _ in range(10)))
    assert mine.spent.tokens is not None
    assert mine.spent.tokens <= 1000
    assert mine.spent.tokens % 30 == 0


def test_receipt_lines_name_model_and_question() -> None:
    arena = Arena(questions=3)
    bench = arena.bench(Budget({"tokens": 3_000}), 0)
    request = Request("p", 400, question_id="test-0-1")
    asyncio.run(bench.purse.complete([Call("simulated", request)]))
    (line,) = bench.purse.budget.lines
    assert line.what == "simulated test-0-1"


class Clock:
    """Time passes only when somebody lets it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Slow(Scripted):
    """Every wave takes four seconds of `clock`, or what a request may take if that is less."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock, self.allowed = clock, list[float]()

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        (request,) = requests
        assert request.seconds is not None
        self.allowed.append(request.seconds)
        await asyncio.sleep(0)
        self.clock.now = max(self.clock.now, min(4.0, request.seconds))
        return await super().complete(requests)


async def test_a_limit_in_seconds_is_wall_time_of_calls_side_by_side() -> None:
    clock = Clock()
    slow = Slow(clock)
    mine = Purse(Budget({"seconds": 10.0}), {"scripted": slow}, clock)
    await mine.complete(calls(*"abcdefgh"))
    assert mine.spent.seconds == pytest.approx(4.0)  # once, not eight times
    assert slow.allowed[0] == pytest.approx(0.95 * 10 - 0.1)


async def test_thinking_between_waves_counts_and_no_wave_starts_without_time() -> None:
    clock = Clock()
    mine = Purse(Budget({"seconds": 10.0, "tokens": 1000}), {"scripted": Slow(clock)}, clock)
    await mine.complete(calls("a"))
    clock.now = 11.0
    assert await mine.complete(calls("b")) == [None]
    assert mine.spent.tokens == 30
    assert (mine.spent.seconds or 0) <= 10.0
