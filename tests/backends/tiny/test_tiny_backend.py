"""The backend: merged calls, who pays for a prompt, bounds, and what a cancellation leaves."""

import asyncio
import itertools
from dataclasses import replace

import numpy as np
import pytest

from bursar.backends.base import Backend, Request
from bursar.backends.tiny import TinyBackend, open_tiny, tiny_sizes
from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.backends.token_price import TokenPrice
from bursar.errors import BackendError, BadInput
from bursar.units import RESOURCES
from bursar.usage import Usage

PROMPT = "chain 3*4*5\n"
LENGTH = len(Tokenizer().encode(PROMPT))


@pytest.fixture
def backend(folder):
    return TinyBackend(folder, max_batch=16)


@pytest.fixture
def runs(backend, monkeypatch):
    """The sizes of the engine's runs."""
    sizes = []
    run = backend.engine.run

    def counted(requests, clock):
        sizes.append(len(requests))
        return run(requests, clock)

    monkeypatch.setattr(backend.engine, "run", counted)
    return sizes


def asked(count, **changes):
    return [
        replace(
            Request(PROMPT if i % 2 else f"chain {i + 2}*7\n", 30, question_id=f"{i}"), **changes
        )
        for i in range(count)
    ]


async def test_calls_of_many_coroutines_become_one_run(backend, runs):
    async def one(request, turns):
        for _ in range(turns):  # not all reach the backend in the same turn of the loop
            await asyncio.sleep(0)
        (done,) = await backend.complete([request])
        return done

    requests = asked(30)
    merged = await asyncio.gather(*(one(r, i % 3) for i, r in enumerate(requests)))
    assert runs == [30]
    together = await backend.complete(requests)
    assert [c.text for c in merged] == [c.text for c in together]
    assert sum(c.usage.tokens for c in merged) == sum(c.usage.tokens for c in together)


async def test_rounds_of_calls_are_a_run_each(backend, runs):
    async def three(i):
        for sample in range(3):
            await backend.complete([Request(PROMPT, 5, question_id=f"{i}", sample=sample)])

    await asyncio.gather(*(three(i) for i in range(10)))
    assert runs == [10, 10, 10]


async def test_every_request_pays_its_prompt_and_sharing_saves_its_work(backend):
    requests = [Request(PROMPT, 9, sample=i) for i in range(5)]
    done = await backend.complete(requests)
    assert [c.usage.tokens_in for c in done] == [LENGTH] * 5
    flops_per_token = [c.usage.flops / c.usage.tokens_out for c in done]
    assert flops_per_token[0] > 1.2 * max(flops_per_token[1:])
    assert all(c.usage.tokens_out == len(c.logprobs) for c in done)
    (again,) = await backend.complete(requests[1:2])
    assert again.usage.tokens_in == LENGTH
    assert again.text == done[1].text


@pytest.mark.parametrize("want_hidden", [False, True])
async def test_no_resource_passes_its_bound(folder, want_hidden):
    backend = TinyBackend(folder, price=TokenPrice(2.0, 8.0))
    requests = asked(20, want_hidden=want_hidden) + asked(4, max_tokens=1, want_hidden=want_hidden)
    for batch in (requests, requests[:1], requests[-1:]):
        for request, done in zip(batch, await backend.complete(batch), strict=True):
            bound = backend.upper_bound(request)
            assert bound.tokens_out == request.max_tokens
            for resource in RESOURCES:
                most, used = bound.get(resource), done.usage.get(resource)
                assert most is None or 0 <= used <= most * (1 + 1e-12), resource


def test_the_bound_counts_the_whole_prompt_and_is_clipped_to_the_context(backend):
    prefix = "12*5\n"
    bound = backend.upper_bound(Request(PROMPT, 10_000, prefix=prefix))
    tokens = len(Tokenizer().encode(PROMPT + prefix))
    assert bound.tokens_in == tokens
    assert bound.tokens_out == backend.engine.model.config.context - tokens
    assert (bound.usd, bound.seconds, bound.joules) == (None, None, None)
    assert bound.tool_calls == 0


async def test_flops_are_those_of_a_hand_count(backend):
    (done,) = await backend.complete([Request(PROMPT, 3, temperature=0)])
    assert done.usage.tokens_out == 3
    matrices = 2 * (4 * 32 * 32 + 3 * 32 * 48)
    head = 32 * Tokenizer().size
    pairs = sum(range(1, LENGTH + 1)) + (LENGTH + 1) + (LENGTH + 2)
    expected = 2 * matrices * (LENGTH + 2) + 2 * head * 3 + 4 * 2 * 32 * pairs
    assert done.usage.flops == expected


async def test_seconds_share_out_the_time_of_the_run(folder):
    ticks = itertools.count(0.0, 2.5)
    backend = TinyBackend(folder, clock=lambda: next(ticks))
    done = await backend.complete(asked(8))
    assert sum(c.usage.seconds for c in done) == pytest.approx(2.5)
    assert max(c.usage.seconds / c.usage.flops for c in done) == pytest.approx(
        min(c.usage.seconds / c.usage.flops for c in done)
    )


async def test_a_known_price_gives_dollars(folder):
    backend = TinyBackend(folder, price=TokenPrice(1.0, 3.0))
    (done,) = await backend.complete([Request(PROMPT, 7)])
    assert done.usage.usd == pytest.approx((LENGTH + 3 * done.usage.tokens_out) / 1e6)


async def test_a_stop_string_is_named(backend):
    done = await backend.complete([Request(PROMPT, 60, sample=i, stop=("\n",)) for i in range(30)])
    assert {c.meta.get("stop") for c in done} >= {"\n"}
    assert not any("\n" in c.text for c in done)


async def test_a_bad_request_fails_only_its_own_call(backend):
    good, bad = await asyncio.gather(
        backend.complete([Request(PROMPT, 5)]),
        backend.complete([Request("xyz", 5)]),
        return_exceptions=True,
    )
    assert isinstance(bad, BadInput)
    assert good[0].usage.tokens_out <= 5


async def test_a_call_cancelled_before_its_run_is_not_run(backend, runs):
    kept = asyncio.create_task(backend.complete(asked(3)))
    dropped = asyncio.create_task(backend.complete(asked(5)))
    await asyncio.sleep(0)
    dropped.cancel()
    assert len(await kept) == 3
    assert runs == [3]
    assert backend.unclaimed == Usage.zero()


async def test_a_call_cancelled_during_its_run_is_still_accounted(backend, monkeypatch):
    run = backend.engine.run
    loop, started = asyncio.get_running_loop(), asyncio.Event()

    def slow(requests, clock):
        asyncio.run_coroutine_threadsafe(cancel(), loop).result(timeout=30)
        return run(requests, clock)

    async def cancel():
        dropped.cancel()
        started.set()

    monkeypatch.setattr(backend.engine, "run", slow)
    kept = asyncio.create_task(backend.complete(asked(3)))
    dropped = asyncio.create_task(backend.complete(asked(2, seed=5)))
    done = await kept
    assert started.is_set()
    assert dropped.cancelled()
    assert len(done) == 3
    assert backend.unclaimed.tokens_out > 0
    assert len(await backend.complete(asked(1))) == 1


async def test_a_failure_inside_reaches_every_caller_and_the_next_call_works(backend, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(backend.engine, "run", lambda requests: 1 / 0)
        calls = [backend.complete(asked(1)) for _ in range(3)]
        failures = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(f) for f in failures] == [BackendError] * 3
    assert len(await backend.complete(asked(2))) == 2


def test_one_backend_serves_several_event_loops(backend):
    async def ask():
        return await backend.complete(asked(4))

    first, second = asyncio.run(ask()), asyncio.run(ask())
    assert [c.text for c in first] == [c.text for c in second]


async def test_it_is_a_backend_named_by_its_folder(backend):
    assert isinstance(backend, Backend)
    assert backend.name == "tiny-random"
    assert await backend.complete([]) == []
    await backend.aclose()


def test_an_unknown_size_is_refused_with_those_there_are():
    with pytest.raises(BadInput, match=r"tiny-9b.*there are: " + ", ".join(tiny_sizes())):
        open_tiny("tiny-9b")


@pytest.mark.parametrize("size", tiny_sizes())
async def test_every_size_there_is_opens_and_answers(size):
    (done,) = await open_tiny(size).complete([Request("chain 3*4\n", 40, temperature=0)])
    assert done.text
    assert np.isfinite(done.logprobs).all()


async def test_seconds_end_a_run_where_it_is(backend):
    now = iter(i * 0.1 for i in range(1_000))
    backend._clock = lambda: next(now)
    done = await backend.complete([replace(r, seconds=0.55) for r in asked(6)])
    assert len(done) == 6
    assert {c.stop_reason for c in done} == {"length"}
    assert all(0 < c.usage.tokens_out < 30 for c in done)
    assert all(c.usage.tokens_out == len(c.logprobs) for c in done)


async def test_what_time_ran_out_for_costs_nothing(backend):
    backend._clock = iter(range(1_000)).__next__
    done = await backend.complete([replace(r, seconds=0.5) for r in asked(6)])
    assert [c.usage.tokens for c in done] == [0] * 6
    assert [c.text for c in done] == [""] * 6
