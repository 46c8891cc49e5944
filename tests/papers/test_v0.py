"""Claim: what a policy did on a few questions tells how it will do on others, without training.

Simulated policies: each has its own strength in each of four kinds of question, which show in the
words; two dozen are learned from, others are seen only by a history of 80 questions.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import rankdata

from bursar.allocate.base import Options
from bursar.allocate.hull import HullAllocator
from bursar.reason.route import Direct, frontier, prices
from bursar.reason.route.by_history import ByHistory
from bursar.value.base import Floats
from bursar.value.outcomes import Outcomes
from bursar.value.text_features import TextSpace
from bursar.value.v0 import V0
from reason.route.mixed_questions import WORDS, mixed

SEEDS = range(3)
KNOWN, UNSEEN, HISTORY = 24, 6, 80


@dataclass(frozen=True)
class World:
    """Prompts of four kinds; `chance` (prompts, policies) of the unseen policies."""

    space: TextSpace
    value: V0
    prompts: tuple[str, ...]
    chance: Floats
    right: Floats
    cost: Floats

    def histories(self, rows: slice, shuffle: np.random.Generator | None = None) -> Outcomes:
        right = self.right[rows]
        if shuffle is not None:
            right = shuffle.permuted(right, axis=0)
        blank = np.full(right.shape, np.nan)
        names = tuple(f"policy-{p}" for p in range(right.shape[1]))
        return Outcomes(names, self.prompts[rows], right, self.cost[rows], blank)


def world(seed: int) -> World:
    rng = np.random.default_rng(seed)
    prompts = mixed(600, seed).prompts
    kind = np.array([
        next(k for k, words in enumerate(WORDS.values()) if p.split()[0] in words.split())
        for p in prompts
    ])  # fmt: skip
    strength = rng.normal(0.0, 0.6, KNOWN + UNSEEN) + rng.normal(0, 2.5, (4, KNOWN + UNSEEN))
    chance = expit(strength[kind] + rng.normal(0, 0.5, (len(prompts), 1)))
    right = (rng.random(chance.shape) < chance).astype(float)
    space = TextSpace.fit(prompts[:300], 16)
    value = V0.fit(space.of(prompts[:300]), right[:300, :KNOWN])
    cost = np.tile(np.linspace(1, 4, UNSEEN), (len(prompts), 1))
    return World(space, value, prompts, chance[:, KNOWN:], right[:, KNOWN:], cost)


def predictions(w: World, shuffle: np.random.Generator | None = None) -> Floats:
    """(held-out prompts, unseen policies)."""
    history = w.histories(slice(300, 300 + HISTORY), shuffle)
    return ByHistory(w.value, w.space).fit(history).estimate(w.prompts[400:])


def area(score: Floats, right: Floats) -> float:
    """Under the ROC curve, mean over policies."""
    found = []
    for s, r in zip(score.T, right.T > 0.5, strict=True):
        rank, hits, misses = rankdata(s), r.sum(), (~r).sum()
        found.append((rank[r].sum() - hits * (hits + 1) / 2) / (hits * misses))
    return float(np.mean(found))


@pytest.mark.parametrize("seed", SEEDS)
def test_it_ranks_the_prompts_of_policies_it_never_saw(seed: int) -> None:
    w = world(seed)
    right = w.right[400:]
    nobody = w.value.predict(w.space.of(()), np.zeros(0), w.space.of(w.prompts[400:]))
    found = area(predictions(w), right)
    assert found >= 0.75
    assert found > area(np.tile(nobody, (UNSEEN, 1)).T, right) + 0.1
    rng = np.random.default_rng(seed)
    assert np.mean([area(predictions(w, rng), right) for _ in range(8)]) < 0.6


def solved(chance: Floats, believed: Floats, samples: int) -> float:
    """Expected prompts solved when `samples` are divided by what is believed."""
    counts = np.arange(17.0)
    gain = 1 - (1 - believed[:, None]) ** counts
    plan = HullAllocator().allocate(
        Options(gain, np.tile(counts, (len(chance), 1)), ("tool_calls",)), samples
    )
    return float(np.sum(1 - (1 - chance) ** counts[list(plan.choice)]))


def test_samples_go_further_where_it_says_and_shuffled_histories_destroy_that() -> None:
    leads, shuffled = [], []
    for seed in SEEDS:
        w = world(seed)
        guess, mess = predictions(w), predictions(w, np.random.default_rng(seed))
        for p in range(UNSEEN):
            chance = w.chance[400:, p]
            uniform = float(np.sum(1 - (1 - chance) ** 4))
            leads.append(solved(chance, guess[:, p], 4 * len(chance)) / uniform - 1)
            shuffled.append(solved(chance, mess[:, p], 4 * len(chance)) / uniform - 1)
    assert np.mean(leads) > 0.015
    assert np.mean(shuffled) < np.mean(leads) / 4


def test_routing_by_it_beats_the_best_fixed_model_at_equal_cost() -> None:
    history = slice(300, 300 + HISTORY)
    gained, mess = [], []
    for seed in range(6):
        w = world(seed)
        held_out = w.histories(slice(400, 600))
        best = int(held_out.right.mean(axis=0).argmax())
        gained.append(lead(w, w.histories(history), held_out, best))
        rng = np.random.default_rng(seed)
        mess += [lead(w, w.histories(history, rng), held_out, best) for _ in range(3)]
    assert min(gained) > -0.01
    assert np.mean(gained) > 0.05
    assert np.mean(mess) < np.mean(gained) / 2


def lead(w: World, history: Outcomes, held_out: Outcomes, best: int) -> float:
    """Of routing by `history` over the policy `best` at that one's mean cost."""
    router = Direct(ByHistory(w.value, w.space)).fit(history)
    curve = frontier(router, held_out, held_out.cost, prices(held_out.cost))
    cost, fixed = held_out.cost[:, best].mean(), held_out.right[:, best].mean()
    return curve.accuracy_at(float(cost)) - float(fixed)
