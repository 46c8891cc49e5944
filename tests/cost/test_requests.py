"""Requests, memory, hosted prices, and the plain data of `bursar cost`."""

import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar import catalog
from bursar.cost import (
    DATASHEET,
    Deployment,
    hosted_cost,
    max_sequences,
    memory_bytes,
    quote_api,
    quote_device,
    request_cost,
    require_fit,
    step_arrays,
)
from bursar.errors import BadInput, Infeasible

LLAMA = catalog.model("llama-3.1-8b")
H100 = catalog.device("h100-sxm")
PLACE = Deployment(LLAMA, H100)


def test_a_lone_request_is_its_prefill_and_its_decode_steps() -> None:
    place = Deployment(LLAMA, H100, efficiency=DATASHEET)
    cost = request_cost(place, 1000, 300)
    prefill = float(step_arrays(place, 1000, 0).seconds)
    steps = [float(step_arrays(place, 1, 1000 + t).seconds) for t in range(299)]
    assert cost.ttft.middle == pytest.approx(prefill)
    assert cost.usage.seconds == pytest.approx(prefill + sum(steps), rel=1e-4)
    assert cost.tpot.middle == pytest.approx(np.mean(steps), rel=1e-4)


def test_a_batch_shares_the_devices() -> None:
    alone, shared = request_cost(PLACE, 1000, 300), request_cost(PLACE, 1000, 300, batch=32)
    for cheaper in ("usd", "joules", "bytes_moved"):
        assert shared.usage.get(cheaper) < 0.2 * alone.usage.get(cheaper)  # type: ignore[operator]
    assert shared.usage.seconds > alone.usage.seconds  # type: ignore[operator]
    # the arithmetic is each request's own, whoever else is there
    assert shared.usage.flops == pytest.approx(alone.usage.flops, rel=0.002)


def test_dollars_are_latency_over_batch_by_littles_law() -> None:
    place = Deployment(LLAMA, H100, efficiency=DATASHEET)
    cost = request_cost(place, 800, 200, batch=10)
    assert cost.usage.usd == pytest.approx(cost.usage.seconds * 6.88 / 3600 / 10)  # type: ignore[operator]


@given(st.integers(1, 3000), st.integers(0, 600), st.integers(1, 64), st.sampled_from([1, 2, 4, 8]))
def test_low_and_high_enclose_and_longer_costs_more(
    tokens_in: int, tokens_out: int, batch: int, tp: int
) -> None:
    place = Deployment(LLAMA, H100, tp=tp)
    cost = request_cost(place, tokens_in, tokens_out, batch=batch)
    more = request_cost(place, tokens_in + 100, tokens_out + 10, batch=batch)
    for name, amount in cost.usage.known().items():
        assert cost.low.known()[name] <= amount <= cost.high.known()[name]
    for name in ("flops", "seconds", "usd", "joules", "bytes_moved"):
        assert more.usage.known()[name] > cost.usage.known()[name]


def test_a_cached_prefix_is_not_computed_again() -> None:
    cold = request_cost(PLACE, 8000, 10)
    warm = request_cost(PLACE, 8000, 10, cached_in=7500)
    assert warm.ttft.middle < 0.6 * cold.ttft.middle
    assert warm.usage.flops < 0.12 * cold.usage.flops  # type: ignore[operator]


def test_a_hundred_thousand_tokens_are_one_vectorised_sum() -> None:
    began = time.perf_counter()
    cost = request_cost(PLACE, 1000, 100_000)
    assert time.perf_counter() - began < 2.0
    assert cost.usage.tokens_out == 100_000


@pytest.mark.parametrize(
    ("lengths", "options"),
    [((0, 5), {}), ((5, -1), {}), ((5, 5), {"batch": 0}), ((5, 5), {"cached_in": 5})],
)
def test_lengths_that_make_no_sense(lengths: tuple[int, int], options: dict[str, int]) -> None:
    with pytest.raises(BadInput):
        request_cost(PLACE, *lengths, **options)


def test_weights_are_what_the_model_weighs() -> None:
    need = memory_bytes(PLACE, 1, 1000)
    assert need.weights == pytest.approx(LLAMA.parameters * 2)
    assert need.kv_cache == 1000 * 128 * 1024
    halves = memory_bytes(Deployment(LLAMA, H100, tp=2), 1, 1000)
    assert halves.weights == pytest.approx(need.weights / 2)
    assert halves.kv_cache == need.kv_cache / 2


def test_a_latent_cache_is_copied_under_tp_and_split_under_dp() -> None:
    v3, b200 = catalog.model("deepseek-v3"), catalog.device("b200")
    one, tp, dp = (
        memory_bytes(Deployment(v3, b200, tp=t, dp=d), 64, 4096).kv_cache
        for t, d in ((1, 1), (8, 1), (1, 8))
    )
    assert tp == one
    assert dp == one / 8


def test_what_does_not_fit_says_by_how_much_and_what_helps() -> None:
    big = Deployment(catalog.model("llama-3.1-70b"), H100)
    with pytest.raises(Infeasible, match=r"needs 13\d\.\d GiB.*h100-sxm has 72.0.*more devices"):
        require_fit(big, 1, 1000)
    most = max_sequences(PLACE, 4096)
    assert most is not None
    require_fit(PLACE, most, 4096)
    with pytest.raises(Infeasible, match=f"at most {most} sequences"):
        require_fit(PLACE, most + 1, 4096)
    with pytest.raises(Infeasible):
        request_cost(big, 100, 10)


def test_a_socket_with_unknown_memory_is_taken_to_have_enough() -> None:
    place = Deployment(LLAMA, catalog.device("epyc-9654"))
    assert memory_bytes(place, 1, 100).fits
    assert max_sequences(place, 100) is None


def test_a_hosted_request_costs_its_list_price() -> None:
    usage = hosted_cost(catalog.api_price("gpt-4o-mini"), 1_000_000, 500_000, cached_in=400_000)
    assert usage.usd == pytest.approx(0.6 * 0.15 + 0.4 * 0.075 + 0.5 * 0.60)
    assert usage.seconds is None
    assert usage.tokens == 1_500_000


def test_a_cache_without_a_price_is_charged_in_full() -> None:
    price = catalog.api_price("mistral-nemo")
    assert price.usd_per_mtok_cached is None
    assert hosted_cost(price, 1000, 0, cached_in=1000) == hosted_cost(price, 1000, 0)


def test_a_prompt_longer_than_the_price_holds_for_has_no_known_price() -> None:
    price = catalog.api_price("gemini-2.5-pro")
    assert hosted_cost(price, 200_000, 10).usd is not None
    assert hosted_cost(price, 200_001, 10).usd is None
    with pytest.raises(BadInput, match="no more cached than given"):
        hosted_cost(price, 10, 10, cached_in=11)


def test_quotes_are_json_with_the_promised_keys() -> None:
    ours = quote_device(
        "llama-3.1-8b", "h100-sxm", tokens_in=1000, tokens_out=300, batch=16, tp=2, country="DE"
    )
    hosted = quote_api("gpt-4o-mini", tokens_in=1000, tokens_out=300)
    for quote in (ours, hosted):
        assert {"usage", "low", "high", "tier"} <= set(quote)
        assert json.loads(json.dumps(quote)) == quote
    assert ours["usage"]["grams_co2e"] > 0
    assert hosted["usage"]["seconds"] is None
