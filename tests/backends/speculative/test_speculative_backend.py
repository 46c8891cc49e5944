"""Two models behind one protocol: the target's texts, both models' work."""

from dataclasses import replace

import numpy as np
import pytest

from bursar.backends import Request, open_backend
from bursar.backends.token_price import TokenPrice
from bursar.budget import Budget
from bursar.errors import BadInput
from bursar.reason.purse import Call, Purse
from bursar.workload.tasks import TASKS

PAIR = "speculative:tiny-0.3m+tiny-1m"


def requests(temperature: float = 0.0, count: int = 6) -> list[Request]:
    return [
        Request(q.prompt, 60, q.id, temperature=temperature)
        for q in TASKS["countdown"].generate(count, seed=0)
    ]


@pytest.mark.parametrize("shape", ["chain:3", "iid:2,2", "rsd-c:3,1,1", "rsd-s:3x3"])
async def test_greedy_texts_are_the_targets_own(shape):
    own = await open_backend("tiny-1m").complete(requests())
    both = await open_backend(f"{PAIR}#{shape}").complete(requests())
    assert [c.text for c in both] == [c.text for c in own]
    assert [c.stop_reason for c in both] == [c.stop_reason for c in own]
    for a, b in zip(own, both, strict=True):
        assert a.usage.tokens == b.usage.tokens
        np.testing.assert_allclose(b.logprobs, a.logprobs, atol=1e-3)


async def test_work_is_of_both_models_and_calls_of_the_target_are_fewer():
    (request,) = requests(count=1)
    (own,) = await open_backend("tiny-1m").complete([request])
    (both,) = await open_backend(f"{PAIR}#chain:4").complete([request])
    count = {name: int(number) for name, number in both.meta.items()}
    assert both.usage.flops > own.usage.flops
    assert both.usage.bytes_moved < own.usage.bytes_moved
    assert count["target_calls"] < both.usage.tokens_out / 2
    assert count["accepted"] <= count["proposed"]
    said = both.usage.tokens_out
    # a round gives what is kept and one more, but for the last, which may end on a kept one
    assert count["accepted"] + count["target_calls"] - said in (0, 1)


async def test_stop_strings_end_a_text_as_with_the_target_alone():
    stopped = [
        Request(r.prompt, r.max_tokens, r.question_id, stop=("\n",), temperature=0.0)
        for r in requests()
    ]
    own = await open_backend("tiny-1m").complete(stopped)
    both = await open_backend(PAIR).complete(stopped)
    assert [(c.text, c.meta["stop"]) for c in both] == [(c.text, c.meta["stop"]) for c in own]


async def test_no_time_gives_nothing_and_charges_no_prompt():
    clock = iter(range(100))
    backend = open_backend(PAIR, clock=lambda: next(clock))
    (request,) = requests(count=1)
    (done,) = await backend.complete(
        [Request(request.prompt, 60, request.question_id, seconds=0.5)]
    )
    assert (done.text, done.stop_reason, done.usage.tokens) == ("", "length", 0)


async def test_the_purse_pays_for_it_at_the_targets_price():
    backend = open_backend(PAIR, price=TokenPrice(1.0, 2.0))
    purse = Purse(Budget({"tokens": 400.0, "bytes_moved": 1e12, "usd": 1.0}), {PAIR: backend})
    outcomes = await purse.complete([Call(PAIR, r) for r in requests(1.0)])
    done = [outcome for outcome in outcomes if outcome]
    assert done
    assert purse.spent.tokens == sum(c.usage.tokens for c in done) <= 400
    assert purse.spent.usd == pytest.approx(
        sum(c.usage.tokens_in * 1e-6 + c.usage.tokens_out * 2e-6 for c in done)
    )


async def test_states_are_not_kept_and_a_text_of_no_tokens_is_refused():
    backend, (request,) = open_backend(PAIR), requests(count=1)
    (done,) = await backend.complete([replace(request, keep=True)])
    assert done.kept is None
    with pytest.raises(BadInput, match="max_tokens is 0"):
        await backend.complete([replace(request, keep=True, max_tokens=0)])


@pytest.mark.parametrize(
    "rest", ["tiny-1m", "tiny-0.3m+", "tiny-9b+tiny-1m", "tiny-0.3m+tiny-1m#rsd-c:none"]
)
def test_a_pair_that_is_not_there_is_refused(rest):
    with pytest.raises(BadInput, match=r"speculative:tiny-0\.3m|rsd-c:2,1,1"):
        open_backend(f"speculative:{rest}")
