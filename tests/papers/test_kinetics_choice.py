"""Kinetics (arXiv:2506.05333) as a choice on a named device, priced by its deployment's steps."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from bursar import catalog
from bursar.cost import Deployment, step_arrays
from bursar.errors import BadInput, Infeasible
from bursar.value import KineticsChoice, Menu, overtaking_context

SIZES = ("qwen3-0.6b", "qwen3-1.7b", "qwen3-4b", "qwen3-8b", "qwen3-14b", "qwen3-32b")
TOKENS = tuple(int(n) for n in np.geomspace(256, 32_768, 22))
SAMPLES = (1, 2, 4, 8, 16, 32)
PROMPT = 256
KEPT = (128, 256, 512, 1024)
LOSS = 0.03
"""Share of the right answers that sparse attention costs."""


def coverage(loss: float) -> np.ndarray:
    """A stand-in for measured pass@k, (models, tokens, samples): one sample's chance saturates in
    length and rises with the logarithm of the size, as on AIME; samples are independent."""
    size = np.array([catalog.model(name).parameters for name in SIZES])
    skill = np.clip(0.16 + 0.22 * np.log10(size / 0.6e9), 0.02, 0.95)[:, None]
    chance = (1 - loss) * skill * (1 - np.exp(-np.array(TOKENS) / 6_000))
    return np.asarray(1 - (1 - chance[..., None]) ** np.array(SAMPLES))


@cache
def choice(device: str = "b200-sxm") -> KineticsChoice:
    named = catalog.device(device)
    return KineticsChoice([Deployment(catalog.model(m), named) for m in SIZES], PROMPT)


@cache
def dense(device: str = "b200-sxm", *, memory: bool = True) -> Menu:
    return choice(device).menu(TOKENS, SAMPLES, coverage(0.0), memory=memory)


@cache
def any_attention(*, memory: bool = True) -> Menu:
    value = np.stack([coverage(0.0)] + [coverage(LOSS)] * len(KEPT), axis=-1)
    return choice().menu(TOKENS, SAMPLES, value, (None, *KEPT), memory=memory)


BUDGETS = np.geomspace(0.004, 40.0, 15)
"""Seconds of the device for one question."""


@pytest.mark.parametrize("name", SIZES)
def test_reading_the_cache_overtakes_the_parameters_past_the_computed_context(name: str) -> None:
    place = Deployment(catalog.model(name), catalog.device("b200-sxm"))
    rows, device = 4096.0, place.device
    for factor, cache_first in ((0.8, False), (1.25, True)):
        at, none = (
            step_arrays(place, 1.0, c, rows) for c in (overtaking_context(place) * factor, 0.0)
        )
        reading = float(at.bytes - none.bytes) / (device.memory_bytes_per_second or np.nan)
        weights = float(none.flops) / device.flops_per_second("bf16")
        assert (reading > weights) == cache_first


def test_the_smaller_the_model_the_sooner_the_cache_overtakes() -> None:
    lengths = [overtaking_context(place) for place in choice().deployments]
    assert lengths[0] < 0.2 * lengths[-1]


@pytest.mark.parametrize("device", ["b200-sxm", "h200-sxm"])
def test_at_equal_real_cost_the_memory_aware_choice_is_larger_and_better(device: str) -> None:
    aware, by_flops = dense(device), dense(device, memory=False)
    larger, gains = [], []
    for limit in np.geomspace(0.0005, 1.0, 15):
        naive = by_flops.best(limit)
        real = aware.cost[
            SIZES.index(naive.model), TOKENS.index(naive.tokens), SAMPLES.index(naive.samples), 0
        ]
        chosen = aware.best(real)
        larger.append(SIZES.index(chosen.model) - SIZES.index(naive.model))
        gains.append(chosen.value - naive.value)
    assert min(gains) >= 0
    assert max(gains) > 0.1
    assert np.mean(np.array(larger) > 0) >= 0.9
    assert min(larger) >= 0


def test_sparse_attention_raises_the_frontier_most_where_compute_is_scarce() -> None:
    gain = np.array([any_attention().best(b).value - dense().best(b).value for b in BUDGETS])
    assert (gain >= 0).all()
    assert gain.max() > 0.1
    assert gain[-1] < 0.2 * gain.max()


def test_where_memory_is_free_sparse_attention_gains_far_less() -> None:
    """The control: the same settings, priced by FLOPs."""
    menus = any_attention(memory=False), dense(memory=False)
    limits = np.geomspace(menus[1].cost.min() * 1.5, menus[1].cost.max() / 10, len(BUDGETS))
    free = max(menus[0].best(b).value - menus[1].best(b).value for b in limits)
    paid = max(any_attention().best(b).value - dense().best(b).value for b in BUDGETS)
    assert free < 0.5 * paid


def test_a_model_that_does_not_fit_is_never_chosen() -> None:
    small = KineticsChoice(
        [Deployment(catalog.model(m), catalog.device("l4")) for m in SIZES], PROMPT
    ).menu(TOKENS, SAMPLES, coverage(0.0))
    assert not np.isfinite(small.cost[SIZES.index("qwen3-32b")]).any()
    assert small.best(1e9).model != "qwen3-32b"


def test_bad_settings_are_refused() -> None:
    with pytest.raises(BadInput, match="shape"):
        choice().menu(TOKENS, SAMPLES, np.ones((2, 2, 2)))
    with pytest.raises(BadInput, match="tokens"):
        choice().menu((0, 5), SAMPLES, np.ones((6, 2, 6)))
    with pytest.raises(Infeasible, match="cheapest"):
        dense().best(1e-9)


def test_a_keep_that_nothing_reaches_costs_no_less_than_dense() -> None:
    wide = replace(choice(), block=10**9).menu(TOKENS[:3], (1,), np.ones((6, 3, 1)), (None, 10**6))
    assert np.allclose(wide.cost[..., 0], wide.cost[..., 1])
