"""Relations that any server obeys, whatever the coefficients."""

from dataclasses import replace

import pytest

from bursar.catalog import device, model
from bursar.cost import Deployment
from bursar.cost.endtoend import Pool, Prediction, Served, predict
from bursar.cost.tables import Engine
from bursar.errors import BadInput


def place(tp: int, engine: str = "vllm") -> Deployment:
    spec, h200 = model("llama-3.1-70b"), device("h200-sxm")
    return Deployment(spec, h200, tp=tp, dtype="fp8", engine=Engine(engine))


def llama(**changes: object) -> Served:
    served = Served(Pool(place(tp=4)), in_flight=32, tokens_in=1024, tokens_out=512)
    return replace(served, **changes)  # type: ignore[arg-type]


def one(served: Served) -> Prediction:
    return predict([served])[0]


def test_times_grow_with_load_and_length() -> None:
    few, many, longer = (
        one(served) for served in (llama(in_flight=4), llama(), llama(tokens_in=8192))
    )
    assert few.tpot.middle < many.tpot.middle < longer.tpot.middle
    assert few.ttft.middle < many.ttft.middle < longer.ttft.middle


def test_intervals_enclose_the_middle_and_are_wider_where_less_is_known() -> None:
    stated = one(llama())
    pool = replace(llama().decode, workers=None)
    unstated = one(llama(decode=pool, prefill=pool))
    for found in (stated, unstated):
        for between in (found.ttft, found.tpot):
            assert 0 < between.low < between.middle < between.high

    def width(found: Prediction) -> float:
        return found.tpot.high / found.tpot.low

    assert (stated.mode, unstated.mode) == ("aggregated", "unstated")
    assert width(unstated) > width(stated)
    stood_in = predict([llama()], nearest=[True])[0]
    assert stood_in.tier == "nearest"
    assert width(stood_in) > width(stated)


def test_a_pool_for_prompts_takes_them_out_of_decoding() -> None:
    together = one(llama(tokens_in=8192))
    apart = one(llama(tokens_in=8192, prefill=llama().decode))
    assert apart.mode == "disaggregated"
    assert apart.tpot.middle < together.tpot.middle


def test_requests_beyond_the_cache_wait_for_whole_answers() -> None:
    fits, too_many = (
        one(llama(decode=Pool(place(tp=1)), tokens_in=8192, tokens_out=1024, in_flight=n))
        for n in (16, 256)
    )
    assert too_many.ttft.middle > 1000 * fits.tpot.middle  # an answer of 1,024 tokens
    assert too_many.tpot.middle < 256 / 16 * fits.tpot.middle


def test_a_cached_prompt_costs_less_but_its_cache_is_still_read() -> None:
    new, cached = one(llama(tokens_in=8192)), one(llama(tokens_in=8192, cached_in=8000))
    short = one(llama(tokens_in=192))
    assert cached.ttft.middle < new.ttft.middle / 2
    assert short.tpot.middle < cached.tpot.middle < new.tpot.middle


def test_more_replicas_share_the_load() -> None:
    two = one(llama(decode=replace(llama().decode, workers=2), prefill=llama().decode))
    whole = one(llama(prefill=llama().decode))
    assert two.tpot.middle < whole.tpot.middle


def test_splitting_over_nodes_costs_time_except_in_a_rack() -> None:
    def slower(name: str) -> float:
        eight, sixteen = (
            Deployment(model("deepseek-v3"), device(name), tp=tp, dtype="fp8") for tp in (8, 16)
        )
        times = [one(llama(decode=Pool(place), in_flight=1)) for place in (eight, sixteen)]
        return times[1].tpot.middle / times[0].tpot.middle

    assert slower("b200-sxm") > 1.2 > slower("gb200")


def test_an_engine_without_coefficients_is_answered() -> None:
    known, unknown = one(llama()), one(llama(decode=Pool(place(tp=4, engine="lmdeploy"))))
    assert 0.5 < unknown.tpot.middle / known.tpot.middle < 2
    assert predict([]) == []


@pytest.mark.parametrize(
    "bad", [{"tokens_in": 0}, {"tokens_out": 1}, {"in_flight": 0.5}, {"cached_in": 1024}]
)
def test_loads_that_make_no_sense_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(
        BadInput, match=r"must be 1 or more|at least 1 in and 2 out|one at least must"
    ):
        llama(**bad)
