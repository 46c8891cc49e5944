"""Claim: on the next-scale generator TTS-VAR's mean reward beats best-of-N's at equal FLOPs, and
exchanging its two rules lowers it."""

import asyncio

import numpy as np

from bursar.backends.images import SIDES, THINGS, NextScale
from bursar.budget import Budget
from bursar.reason.images import Painter, ScalePainter, Shows, Studio, Wish, exchanged, tts_var
from bursar.reason.images.scale_paths import sampled
from bursar.reason.purse import PurseOf

MODEL = NextScale.load()
SEEDS = 9
PICTURES = (8, 16)
"""Whole pictures that a purse pays for. At four, best-of-N is better (benchmarks/images.py)."""


def rewards(painter: Painter) -> np.ndarray:
    """(SEEDS,) mean over all things, two to four of each, and over both purses."""
    found = np.zeros((SEEDS, len(THINGS), 3, len(PICTURES)))
    for seed, thing, more, purse in np.ndindex(found.shape):
        budget = Budget({"flops": PICTURES[purse] * sum(MODEL.drawing_flops)})
        wish = Wish("scene", thing, Shows(thing, 2 + more))
        rng = np.random.default_rng((seed, thing, more))
        studio = Studio(PurseOf(budget, {MODEL.name: MODEL}), wish, rng)
        found[seed, thing, more, purse] = asyncio.run(painter.draw(studio)).reward
        assert not budget.overrun
    return found.mean((1, 2, 3))


def test_it_beats_best_of_n_at_equal_flops_and_exchanging_the_rules_lowers_it() -> None:
    var, other = rewards(tts_var()), rewards(exchanged())
    best_of_n = rewards(ScalePainter())  # at the temperature that suits it best
    assert var.mean() > best_of_n.mean() + 0.01, (var, best_of_n)
    assert var.mean() > other.mean() + 0.01, (var, other)
    assert (var > best_of_n).mean() > 0.6
    assert (var > other).mean() > 0.6


def test_the_reward_of_an_early_map_says_nothing_and_that_of_the_last_but_one_much() -> None:
    said: list[list[float]] = []
    for thing in range(len(THINGS)):
        rng, maps, rewards = np.random.default_rng(9), np.zeros((200, 1, 1), np.int64), []
        for scale in range(len(SIDES)):
            maps = sampled(MODEL.values(maps, scale, thing), rng)
            rewards.append(Shows(thing, 3)(maps))
        assert rewards[1].std() == 0
        said.append([np.corrcoef(early, rewards[-1])[0, 1] for early in rewards[2:4]])
    third, fourth = np.mean(said, axis=0)
    assert fourth > 0.6 > third + 0.05
