"""The next-scale generator: it draws what it is asked for, and counts."""

import asyncio

import numpy as np
import pytest

from bursar.backends.images import LEVELS, SIDES, THINGS, Evaluate, NextScale
from bursar.backends.images.scales import surroundings
from bursar.errors import BadInput
from bursar.reason.images import Shows
from bursar.reason.images.scale_paths import sampled
from bursar.reason.images.scenes import enlarged

MODEL = NextScale.load()


def drawn(thing: int, count: int, seed: int = 0) -> np.ndarray:
    rng, maps = np.random.default_rng(seed), np.zeros((count, 1, 1), np.int64)
    for scale in range(len(SIDES)):
        maps = sampled(MODEL.values(maps, scale, thing), rng)
    return maps


def test_every_place_sees_its_own_surroundings_and_what_is_asked() -> None:
    maps = np.arange(4).reshape(1, 2, 2)
    seen = surroundings(maps, np.array([3]))
    levels = seen[:, :-4].reshape(4, 5, 5, LEVELS + 1).argmax(-1)
    assert levels[:, 2, 2].tolist() == [0, 1, 2, 3]
    assert levels[0, 2:4, 2:4].tolist() == [[0, 1], [2, 3]]
    assert (levels[0, :2] == LEVELS).all(), "off the map"
    assert (seen[:, -4:] == [0, 0, 0, 1]).all()


@pytest.mark.parametrize("thing", range(len(THINGS)))
def test_what_it_draws_is_bright_or_dark_and_neither_empty_nor_full(thing: int) -> None:
    pictures = drawn(thing, 40)
    assert np.isin(pictures, (0, LEVELS - 1)).mean() > 0.98
    assert 0.05 < (pictures > 0).mean() < 0.4


def test_a_lying_bar_lies_and_a_standing_one_stands() -> None:
    along = {}
    for name in ("lying bar", "standing bar"):
        bright = drawn(list(THINGS).index(name), 60) > 0
        across = (bright[:, :, 1:] & bright[:, :, :-1]).sum()
        down = (bright[:, 1:] & bright[:, :-1]).sum()
        along[name] = across / down
    assert along["lying bar"] > 1 > along["standing bar"]


def test_an_evaluation_is_one_map_of_one_picture() -> None:
    request = Evaluate(np.zeros((5, 4, 4), np.int64), 3, 0)
    (done,) = asyncio.run(MODEL.complete([request]))
    assert done.values.shape == (5, 8, 8, LEVELS)
    assert np.allclose(np.exp(done.values).sum(-1), 1, atol=1e-4)
    assert done.usage == MODEL.upper_bound(request)
    assert (done.usage.tokens_in, done.usage.tokens_out) == (5 * 16, 5 * 64)
    assert done.usage.flops == 5 * MODEL.drawing_flops[3]


def test_bad_requests_are_told() -> None:
    with pytest.raises(BadInput, match="scale 5"):
        MODEL.upper_bound(Evaluate(np.zeros((1, 1, 1), np.int64), 5, 0))
    with pytest.raises(BadInput, match="condition 7"):
        MODEL.values(np.zeros((1, 1, 1), np.int64), 0, 7)


def test_the_reward_counts_whole_things_and_punishes_more_than_wanted() -> None:
    picture = np.zeros((1, 16, 16), np.int64)
    picture[0, 0:4, 0:4] = picture[0, 9:13, 8:12] = LEVELS - 1
    square = list(THINGS).index("square")
    assert Shows(square, 2)(picture)[0] == 1.0
    assert Shows(square, 1)(picture)[0] == 0.5
    assert Shows(square, 4)(picture)[0] == 0.5
    assert Shows(square, 2)(np.zeros((1, 16, 16), np.int64))[0] == 0.0
    broken = picture.copy()
    broken[0, 0] = 0
    assert Shows(square, 2)(broken)[0] == pytest.approx((0.75 + 1) / 2)
    assert enlarged(np.array([[[1, 2], [3, 4]]]))[0, 7:9, 7:9].tolist() == [[1, 2], [3, 4]]
