"""The simulated model: as right, as long and as costly as it was told to be."""

import math
import time

import numpy as np
import pytest

from bursar.backends import Request, open_backend
from bursar.backends.simulated import (
    BetaDifficulty,
    CurveSuccess,
    DeviceCost,
    SimulatedBackend,
    SimulatedTask,
)
from bursar.backends.token_price import TokenPrice
from bursar.catalog import device, model
from bursar.cost import Deployment, request_cost
from bursar.errors import BadInput
from bursar.value.saturation import Saturation
from bursar.workload.tasks.base import Task


def ask(question, sample, max_tokens=100_000):
    return Request("four", max_tokens, question_id=question, sample=sample)


async def test_difficulties_have_the_beta_distribution_and_samples_their_question_s_chance():
    difficulty = BetaDifficulty(2.0, 3.0, seed=5)
    chances = np.array([difficulty(f"q{i}", 0) for i in range(4000)])
    assert chances.mean() == pytest.approx(2 / 5, abs=0.015)
    assert chances.var() == pytest.approx(2 * 3 / (25 * 6), abs=0.004)
    backend = SimulatedBackend(difficulty)
    for question in ("q0", "q1", "q2"):
        done = await backend.complete([ask(question, s) for s in range(4000)])
        share = np.mean([c.text == "right" for c in done])
        assert share == pytest.approx(difficulty(question, 0), abs=0.03)


async def test_accuracy_follows_a_value_curve_of_tokens():
    curve = Saturation(ceiling=0.9, rate=0.005)
    backend = SimulatedBackend(CurveSuccess(curve), spread=1.0)
    done = await backend.complete([ask("q", s) for s in range(8000)])
    tokens = np.array([c.usage.tokens_out for c in done])
    right = np.array([c.text == "right" for c in done])
    for low, high in ((0, 100), (150, 250), (500, 5000)):
        inside = (tokens >= low) & (tokens < high)
        expected = np.mean(curve.value(tokens[inside]))
        assert right[inside].mean() == pytest.approx(expected, abs=0.04)


async def test_wrong_answers_are_spread_so_that_a_majority_can_be_wrong():
    for skew, share in ((0.0, 1 / 4), (1.0, 12 / 25)):  # 1 / (1 + 1/2 + 1/3 + 1/4) = 12/25
        backend = SimulatedBackend(lambda question, tokens: 0.0, wrong_answers=4, skew=skew)
        done = await backend.complete([ask("q", s) for s in range(4000)])
        assert {c.text for c in done} == {f"wrong-{k}" for k in range(4)}
        assert np.mean([c.text == "wrong-0" for c in done]) == pytest.approx(share, abs=0.03)


async def test_lengths_are_lognormal():
    backend = SimulatedBackend(median_tokens=300, spread=0.7)
    done = await backend.complete([ask("q", s) for s in range(4000)])
    logs = np.log([c.usage.tokens_out for c in done])
    assert np.median(logs) == pytest.approx(math.log(300), abs=0.03)
    assert logs.std() == pytest.approx(0.7, abs=0.03)


async def test_costs_come_from_a_price():
    priced = SimulatedBackend(price=TokenPrice(2.0, 8.0))
    (done,) = await priced.complete([ask("q", 0)])
    assert done.usage.usd == pytest.approx((1 * 2 + done.usage.tokens_out * 8) / 1e6)


async def test_costs_come_from_the_steps_on_a_device():
    place = Deployment(model("llama-3.1-8b"), device("h100-sxm"))
    backend = SimulatedBackend(cost=DeviceCost(place, batch=8))
    (done,) = await backend.complete([ask("q", 0, 1000)])
    out = int(done.usage.tokens_out)
    assert done.usage == request_cost(place, 1, out, batch=8).usage
    bound = backend.upper_bound(ask("q", 0, 1000))
    for resource, most in bound.known().items():
        assert done.usage.get(resource) <= most, resource
    assert bound.joules > 0


async def test_a_cut_attempt_states_no_answer():
    backend, task = SimulatedBackend(median_tokens=500, spread=0.1), SimulatedTask()
    assert isinstance(task, Task)
    (question,) = task.generate(1, seed=0)
    (done,) = await backend.complete([ask(question.id, 0, 100)])
    assert done.stop_reason == "length"
    assert task.extract(question, done.text) is None


def test_options_in_its_name():
    backend = open_backend("simulated:right=2,wrong=6,median_tokens=50,wrong_answers=3,seed=4")
    assert backend.success == BetaDifficulty(2.0, 6.0, 4)
    assert (backend.median_tokens, backend.wrong_answers, backend.price) == (50.0, 3, None)
    assert open_backend("simulated") == SimulatedBackend()
    priced = open_backend("simulated:usd_per_mtok_out=2,usd_per_mtok_in=1")
    assert priced.price == TokenPrice(1.0, 2.0)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("simulated:size=3", "unknown key 'size'"),
        ("simulated:right=much", "right='much' is not a number"),
        ("simulated:right=0", "both must be above 0"),
        ("simulated:median_tokens=0", "median_tokens >= 1"),
        ("simulated:usd_per_mtok_in=3", "both"),
        ("simulated:wrong_answers=nan", "wrong_answers"),
    ],
)
def test_options_that_can_not_be(spec, said):
    with pytest.raises(BadInput, match=said):
        open_backend(spec)


@pytest.mark.slow
async def test_a_million_samples_are_cheap():
    backend = SimulatedBackend()
    requests = [ask("q", s) for s in range(20_000)]
    begun = time.process_time()
    await backend.complete(requests)
    assert (time.process_time() - begun) / len(requests) < 100e-6  # about 10 us is usual
