"""What every predictor of cost owes its callers: enter a new one in `PREDICTORS`."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bursar import catalog
from bursar.cost import Deployment, Step, quote_api, quote_device, request_cost, step_cost
from bursar.errors import BadInput, Infeasible
from bursar.units import RESOURCES
from bursar.usage import Usage

Predictor = Callable[[int, int], dict[str, Any]]


def _on(model: str, device: str, **options: Any) -> Predictor:
    def predict(tokens_in: int, tokens_out: int) -> dict[str, Any]:
        return quote_device(model, device, tokens_in=tokens_in, tokens_out=tokens_out, **options)

    return predict


def _hosted(model: str) -> Predictor:
    return lambda i, o: quote_api(model, tokens_in=i, tokens_out=o)


PREDICTORS: dict[str, Predictor] = {
    "dense on a GPU": _on("llama-3.1-8b", "h100-sxm", batch=8, country="FR"),
    "experts on eight": _on("deepseek-v3", "h200", tp=8, dtype="fp8", batch=64),
    "attention in parallel": _on("deepseek-v3", "b200", dp=8, dtype="fp8", batch=64),
    "windows": _on("gpt-oss-120b", "mi300x", dtype="mxfp4", batch=16),
    "recurrent": _on("nemotron-3-nano-30b-a3b", "a100", batch=4),
    "on a processor": _on("qwen3-0.6b", "epyc-9654"),
    "on a phone": _on("llama-3.2-1b", "apple-a18-pro", dtype="int4"),
    "hosted": _hosted("gpt-4o-mini"),
}


@pytest.mark.parametrize("predict", PREDICTORS.values(), ids=PREDICTORS)
class TestPredictor:
    def test_the_json_is_the_contract(self, predict: Predictor) -> None:
        quote = predict(500, 100)
        assert json.loads(json.dumps(quote)) == quote
        for part in ("usage", "low", "high"):
            assert set(quote[part]) == set(RESOURCES)
            Usage.from_dict(quote[part])
        assert quote["tier"]

    def test_low_and_high_enclose_and_agree_on_what_is_unknown(self, predict: Predictor) -> None:
        quote = predict(500, 100)
        for name in RESOURCES:
            low, amount, high = (quote[part][name] for part in ("low", "usage", "high"))
            assert (low is None) == (amount is None) == (high is None)
            if amount is not None:
                assert 0 <= low <= amount <= high < float("inf")

    def test_tokens_are_exact(self, predict: Predictor) -> None:
        usage = predict(123, 45)["usage"]
        assert (usage["tokens_in"], usage["tokens_out"]) == (123, 45)

    def test_more_tokens_never_cost_less(self, predict: Predictor) -> None:
        base = predict(300, 50)["usage"]
        for more in ((600, 50), (300, 100)):
            usage = predict(*more)["usage"]
            assert all(usage[k] is None or usage[k] >= base[k] for k in RESOURCES)

    def test_it_is_deterministic(self, predict: Predictor) -> None:
        assert predict(77, 33) == predict(77, 33)


@pytest.mark.parametrize("device", catalog.devices().values(), ids=lambda d: d.name)
def test_every_device_runs_the_smallest_model_or_says_why_not(device: catalog.Device) -> None:
    place = Deployment(catalog.model("qwen3-0.6b"), device, dtype="int8")
    cost = step_cost(place, Step(new=[1, 64], context=[100, 0]))
    assert cost.usage.seconds is not None
    assert cost.usage.seconds > 0
    if place.device.memory_bytes is not None and place.device.memory_bytes < 1e9:
        with pytest.raises(Infeasible):
            request_cost(place, 100, 10)


@pytest.mark.parametrize("entry", catalog.models().values(), ids=lambda e: e.name)
def test_every_model_has_a_cost_on_a_large_node(entry: catalog.ModelEntry) -> None:
    place = Deployment(entry.spec, catalog.device("b300"), tp=8, dtype="fp8")
    cost = request_cost(place, 1000, 100, batch=8)
    assert cost.usage.flops is not None
    # at least two FLOPs for each active weight (but the head's, at prefill) and token
    inside = entry.spec.active_parameters - entry.spec.head_parameters
    assert cost.usage.flops > 2 * inside * 1099
    assert cost.usage.flops < 3 * 2 * entry.spec.active_parameters * 1100


def test_an_unknown_name_is_bad_input() -> None:
    with pytest.raises(BadInput, match="unknown device"):
        _on("llama-3.1-8b", "abacus")(10, 10)
    with pytest.raises(BadInput, match="unknown price"):
        _hosted("oracle-of-delphi")(10, 10)


def test_deployments_are_values() -> None:
    place = Deployment(catalog.model("qwen3-8b"), catalog.device("l4"))
    assert replace(place, tp=1) == place
