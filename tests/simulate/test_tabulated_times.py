"""Tables sampled from a cost model give its times back, and the engines agree on them."""

import numpy as np
import pytest
from test_roofline_times import truth
from token_by_token import check, workload

from bursar import catalog
from bursar.cost import MEASURED, Deployment
from bursar.policies.batching import SarathiServe
from bursar.simulate import Server, TabulatedTimes

PLACE = Deployment(catalog.model("llama-3.1-8b"), catalog.device("h100"), tp=2, efficiency=MEASURED)
"""A roofline, whose exact times are known."""


@pytest.fixture(scope="module")
def times() -> TabulatedTimes:
    return TabulatedTimes(PLACE)


def test_decode_steps_are_those_of_the_model(times: TabulatedTimes) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        contexts = [int(c) for c in rng.integers(1, 20_000, rng.integers(1, 200))]
        expected = truth(PLACE, [(1, c) for c in contexts])
        assert times.step([len(contexts)], [sum(contexts)], ()) == pytest.approx(expected, rel=1e-6)


def test_prompts_are_those_of_the_model(times: TabulatedTimes) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        new, before = (int(x) for x in np.exp(rng.uniform(0, 10, 2)))
        expected = truth(PLACE, [(new, before)])
        assert times.step([0], [0], [(new, before)]) == pytest.approx(expected, rel=0.01)


def test_mixed_steps_are_those_of_the_model(times: TabulatedTimes) -> None:
    """In attention the roofline overlaps both: their times by themselves are too much together."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        contexts = [int(c) for c in rng.integers(1, 4000, 64)]
        chunk = (int(rng.integers(100, 2000)), int(rng.integers(0, 4000)))
        seconds, _ = truth(PLACE, [*((1, c) for c in contexts), chunk])
        predicted, _ = times.step([64], [sum(contexts)], [chunk])
        assert predicted == pytest.approx(seconds, rel=0.03)


def test_beyond_the_tables_the_last_slope_goes_on(times: TabulatedTimes) -> None:
    tokens = 2**18
    steps = [times.step([0], [0], [(n, 0)])[0] for n in (tokens, tokens + 1000, tokens + 2000)]
    assert steps[2] - steps[1] == pytest.approx(steps[1] - steps[0], rel=1e-6)
    assert steps[1] > steps[0]
    assert times.line([1], [2**19]).seconds == pytest.approx(
        truth(PLACE, [(1, 2**19)])[0], rel=0.01
    )


def test_macro_steps_agree_on_tables_too(times: TabulatedTimes) -> None:
    trace = workload(np.random.default_rng(4), 60, rate=100.0, longest=200)
    assert check(trace, Server(times, blocks=60, block_tokens=8), SarathiServe(16, 64)) > 0


def pipeline(stages: int) -> Deployment:
    return Deployment(
        catalog.model("llama-3.1-70b"), catalog.device("h100"), tp=4, pp=stages, dtype="fp8"
    )


def test_a_full_pipeline_gives_each_of_its_batches_a_token_a_round() -> None:
    """As many rounds a second as one stage's devices alone have steps, with a part of the jobs."""
    one, four = TabulatedTimes(pipeline(1)), TabulatedTimes(pipeline(4))
    jobs, context = 128, 2000
    quarter, _ = one.step([jobs // 4], [jobs // 4 * context], ())
    whole, _ = one.step([jobs], [jobs * context], ())
    round_, _ = four.step([jobs], [jobs * context], ())
    assert quarter < round_ < 1.1 * quarter  # hops between stages
    assert round_ < whole
    lone, _ = four.step([1], [context], ())
    assert lone > one.step([1], [context], ())[0]  # nothing to overlap, and hops


def test_prompts_are_spread_over_the_batches_of_a_pipeline() -> None:
    one, four = TabulatedTimes(pipeline(1)), TabulatedTimes(pipeline(4))
    chunk = (512, 0)
    spread, _ = four.step([0], [0], [chunk] * 4)
    assert spread == pytest.approx(four.step([0], [0], [chunk])[0])
    assert spread < 0.5 * one.step([0], [0], [chunk] * 4)[0]
    longest, _ = four.step([0], [0], [(2048, 0), chunk, chunk])
    assert longest == pytest.approx(four.step([0], [0], [(2048, 0)])[0])


def test_macro_steps_agree_in_a_pipeline() -> None:
    times = TabulatedTimes(pipeline(2))
    trace = workload(np.random.default_rng(4), 60, rate=100.0, longest=200)
    assert check(trace, Server(times, blocks=60, block_tokens=8), SarathiServe(16, 64)) > 0
