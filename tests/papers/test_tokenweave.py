"""TokenWeave (arXiv:2505.11329): a split that counts waves hides collectives at no cost."""

import numpy as np
import pytest

from bursar import catalog
from bursar.allocate.overlap import Halves, TokenWeave, WaveDevice, Whole
from bursar.cost import DATASHEET, MEASURED, Deployment, Efficiency
from bursar.errors import BadInput

CASES = [
    pytest.param(model, tp, efficiency, id=f"{model}-{name}")
    for model, tp in (("llama-3.1-70b", 8), ("qwen2.5-72b", 4))
    for name, efficiency in (("datasheet", DATASHEET), ("measured", MEASURED))
]
SAME = 1.0001


def device(model: str, tp: int, efficiency: Efficiency) -> WaveDevice:
    place = Deployment(
        catalog.model(model), catalog.device("h100-sxm"), tp=tp, efficiency=efficiency
    )
    return WaveDevice(place)


def counts(least: int, most: int, number: int, seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    return [int(x) for x in np.exp(rng.uniform(np.log(least), np.log(most), number))]


@pytest.mark.parametrize(("model", "tp", "efficiency"), CASES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_beats_no_split_and_halves(model: str, tp: int, efficiency: Efficiency, seed: int) -> None:
    place = device(model, tp, efficiency)
    tokens = counts(1024, 16_384, 60, seed)
    whole, halves, woven = (
        np.array([place.seconds(how.split(place, x), layers=2) for x in tokens])
        for how in (Whole(), Halves(), TokenWeave())
    )
    assert np.mean(woven < whole) >= 0.9
    assert np.mean(woven <= SAME * halves) >= 0.9
    assert np.mean(SAME * woven < halves) >= 0.75
    assert np.median(whole / woven) > 1.08


@pytest.mark.parametrize(("model", "tp", "efficiency"), CASES)
def test_declines_where_every_split_adds_waves(model: str, tp: int, efficiency: Efficiency) -> None:
    place = device(model, tp, efficiency)
    declined = [x for x in range(16, 1200, 48) if len(TokenWeave().split(place, x)) == 1]
    assert declined
    for tokens in declined:
        whole = sum_of_waves(place, (tokens,), place.units)
        for first in range(place.tile_tokens, tokens, place.tile_tokens):
            split = (first, tokens - first)
            assert sum_of_waves(place, split, place.units - place.link_units) > whole
        assert place.seconds((tokens,)) <= place.seconds(Halves().split(place, tokens))


def sum_of_waves(place: WaveDevice, split: tuple[int, ...], units: int) -> int:
    products = [x for part in place.products() for x in part]
    return sum(place.waves(x, tokens, units) for tokens in split for x in products)


@pytest.mark.parametrize(("model", "tp", "efficiency"), CASES)
def test_near_the_best_split_there_is(model: str, tp: int, efficiency: Efficiency) -> None:
    place = device(model, tp, efficiency)
    for tokens in counts(256, 3000, 12, 4):
        splits = [(x, tokens - x) for x in range(64, tokens, 64)]
        best = min(place.seconds(x, layers=2) for x in [(tokens,), *splits])
        assert place.seconds(TokenWeave().split(place, tokens), layers=2) < 1.03 * best


def test_a_collective_that_costs_nothing_is_not_hidden() -> None:
    """Control: with a link a thousand times as fast a split can only add waves."""
    place = device("llama-3.1-70b", 8, DATASHEET).deployment
    fast = place.device.model_copy(update={"link_bytes_per_second": 9e14})
    instant = WaveDevice(Deployment(place.model, fast, tp=8, efficiency=DATASHEET))
    tokens = counts(1024, 16_384, 40, 5)
    halves, woven = (
        np.array([instant.seconds(how.split(instant, x), layers=2) for x in tokens])
        for how in (Halves(), TokenWeave())
    )
    whole = np.array([instant.seconds((x,), layers=2) for x in tokens])
    assert np.median(whole / woven) < 1.03
    assert np.median(whole / halves) < np.median(whole / woven)


def test_limits() -> None:
    place = device("llama-3.1-70b", 8, DATASHEET).deployment
    with pytest.raises(BadInput, match="link_units = 132; must be from 1 to 131"):
        WaveDevice(place, link_units=132)
    experts = Deployment(catalog.model("qwen3-30b-a3b"), place.device, tp=8)
    with pytest.raises(BadInput, match="several kinds"):
        WaveDevice(experts).products()
