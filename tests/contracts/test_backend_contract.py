"""What every backend promises, whatever is behind it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest

from bursar.backends import Backend, Completion, Request, open_backend
from bursar.backends.mock_server import TEMPLATE_TOKENS, MockServer
from bursar.backends.openai import OpenAIBackend
from bursar.backends.replay import Recorded, ReplayBackend
from bursar.backends.simulated import SimulatedBackend
from bursar.backends.token_price import TokenPrice
from bursar.units import RESOURCES
from bursar.workload.tasks import TASKS

Opener = Callable[[], AsyncIterator[Backend]]


@asynccontextmanager
async def replay(tmp_path):
    yield ReplayBackend(
        Recorded(f"q{q}", f"text {q} {s}", tokens_in=5, tokens_out=3 + s, usd=0.01)
        for q in range(4)
        for s in range(20)
    )


@asynccontextmanager
async def simulated(tmp_path):
    yield SimulatedBackend(median_tokens=12, price=TokenPrice(1.0, 2.0))


@asynccontextmanager
async def openai(tmp_path):
    with MockServer() as server:
        async with OpenAIBackend(
            "mock", server.base_url, price=TokenPrice(1, 2), template_tokens=TEMPLATE_TOKENS
        ) as backend:
            yield backend


@asynccontextmanager
async def transformers(tmp_path):
    pytest.importorskip("torch", reason="needs the torch extra")
    from hugging_face_models import save_random_llama

    save_random_llama(tmp_path)
    backend = open_backend(f"transformers:{tmp_path}")
    yield backend
    await backend.aclose()


@asynccontextmanager
async def tiny(tmp_path):
    names = pytest.importorskip("bursar.backends.tiny").tiny_sizes()
    if not names:
        pytest.skip("the built-in model's weights are not here")
    backend = open_backend(names[0])
    yield backend
    await backend.aclose()


@asynccontextmanager
async def speculative(tmp_path):
    backend = open_backend("speculative:tiny-0.3m+tiny-1m#rsd-s:2x2")
    yield backend
    await backend.aclose()


ALL = {
    "replay": replay,
    "simulated": simulated,
    "openai": openai,
    "speculative": speculative,
    "tiny": tiny,
    "transformers": transformers,
}
CHAIN = TASKS["chain"].generate(1, seed=0)[0].prompt
PROMPTS = {"tiny": CHAIN, "speculative": CHAIN}


@pytest.fixture(
    params=[
        pytest.param(name, marks=[pytest.mark.torch] if name == "transformers" else [])
        for name in ALL
    ]
)
async def case(request, tmp_path):
    async with ALL[request.param](tmp_path) as backend:
        yield request.param, backend


def requests_for(name: str, count: int, max_tokens: int = 16, seed: int = 0) -> list[Request]:
    prompt = PROMPTS.get(name, "what is 3 + 4 ?")
    return [
        Request(prompt, max_tokens, question_id=f"q{i % 4}", sample=i // 4, seed=seed)
        for i in range(count)
    ]


def said(completions: list[Completion]) -> list[tuple[str, object, str]]:
    """What a draw fixes. Not `tokens_in`: a batch may run a shared prompt once."""
    return [(c.text, c.usage.tokens_out, c.stop_reason) for c in completions]


async def test_is_a_backend_with_a_name(case):
    _, backend = case
    assert isinstance(backend, Backend)
    assert backend.name


async def test_nothing_asked_is_nothing_done(case):
    _, backend = case
    assert await backend.complete([]) == []


async def test_usage_stays_within_the_bound_in_every_resource_it_bounds(case):
    name, backend = case
    requests = requests_for(name, 12)
    for request, done in zip(requests, await backend.complete(requests), strict=True):
        bound = backend.upper_bound(request)
        assert bound.tokens is not None
        assert done.usage.tokens is not None
        for resource in RESOURCES:
            most, used = bound.get(resource), done.usage.get(resource)
            if most is not None:
                assert used is not None
                assert 0 <= used <= most, resource


@pytest.mark.parametrize("max_tokens", [1, 4])
async def test_max_tokens_is_never_passed_and_a_cut_is_called_length(case, max_tokens):
    name, backend = case
    for done in await backend.complete(requests_for(name, 6, max_tokens)):
        assert done.usage.tokens_out <= max_tokens
        assert done.stop_reason in ("stop", "length")
        if done.stop_reason == "length":
            assert done.usage.tokens_out == max_tokens


async def test_a_sample_is_fixed_by_its_names_whatever_else_is_in_the_batch(case):
    name, backend = case
    requests = requests_for(name, 12)
    together = said(await backend.complete(requests))
    backward = said(await backend.complete(requests[::-1]))[::-1]
    alone = [said(await backend.complete([request]))[0] for request in requests]
    assert together == backward == alone


async def test_another_seed_draws_other_samples(case):
    name, backend = case
    one = said(await backend.complete(requests_for(name, 12, 32)))
    two = said(await backend.complete(requests_for(name, 12, 32, seed=1)))
    assert one != two


async def test_many_callers_at_once_get_what_each_would_alone(case):
    name, backend = case
    requests = requests_for(name, 12)
    expected = said(await backend.complete(requests))
    calls = [backend.complete([request]) for request in requests]
    assert [said(done)[0] for done in await asyncio.gather(*calls)] == expected


async def test_logprobs_when_given_are_one_per_token_and_not_above_zero(case):
    name, backend = case
    for done in await backend.complete(requests_for(name, 4)):
        if done.logprobs is not None and name != "replay":
            assert len(done.logprobs) == done.usage.tokens_out
            assert np.all(done.logprobs <= 1e-6)


async def test_an_unknown_price_is_unknown_dollars_not_zero(case):
    name, backend = case
    (request,) = requests_for(name, 1)
    if isinstance(backend, SimulatedBackend):
        backend = replace(backend, price=None)
    elif isinstance(backend, OpenAIBackend):
        backend.price = None
    elif isinstance(backend, ReplayBackend):
        backend = ReplayBackend([Recorded("q0", "x", tokens_in=1, tokens_out=1)])
    (done,) = await backend.complete([request])
    assert done.usage.usd is None
    assert backend.upper_bound(request).usd is None
