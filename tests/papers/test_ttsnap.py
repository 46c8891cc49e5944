"""Claim: a noise-aware judge ranks unfinished drawings better than a clean one, so that dropping
poor ones early by its word beats best-of-N at equal FLOPs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from flow_arena import goals, models, rewards, trajectory
from scipy.stats import kendalltau

from bursar.backends.images import Evaluate, Evaluated, Sampler
from bursar.reason.images import BestOfN, Near, Painter, TTSnap
from bursar.reason.images.paths import LINEAR, levels
from bursar.usage import Usage

SEEDS = 5
STEPS = 10


def taus(kind: str, seed: int) -> np.ndarray:
    """(STEPS,) mean of Kendall's tau between a judge's word of unfinished drawings and the end."""
    each, grid = [], levels(STEPS, LINEAR)
    for prompt, goal in goals(2):
        *unfinished, ended = trajectory(prompt, 100, np.random.default_rng((seed, prompt)), STEPS)
        truth = Near(goal)(ended)
        states = [np.concatenate((x, np.broadcast_to(goal, x.shape)), 1) for x in unfinished]
        scores = [
            models()[kind].values(s, t if kind == "noise-aware" else 0.0, prompt)[:, 0]
            for s, t in zip(states, grid, strict=False)
        ]
        each.append([kendalltau(s, truth).statistic for s in scores])
    return np.mean(each, axis=0)


def found(painter: Painter) -> np.ndarray:
    return rewards(painter, 200, seeds=SEEDS, each=6)


def test_the_noise_aware_judge_ranks_unfinished_drawings_better_than_the_clean_one() -> None:
    for seed in range(SEEDS):
        aware, clean = taus("noise-aware", seed), taus("clean", seed)
        assert (aware[1:5] > clean[1:5] + 0.01).all(), (aware, clean)
        assert aware[1:5].mean() > clean[1:5].mean() + 0.05
        assert clean[-1] > aware[-1], "of finished drawings the clean judge knows more"


def test_pruning_by_it_beats_best_of_n_and_pruning_by_the_clean_judge_at_equal_flops() -> None:
    snap = found(TTSnap())
    short = found(TTSnap(5, after=(2, 3), keep=(0.4, 0.5)))
    best = {steps: found(BestOfN(steps)) for steps in (3, 4, 5, 10)}
    assert (snap > best[10]).all(), "drawings of ten steps each"
    assert (short > best[5]).all(), "drawings of five steps each"
    for steps, other in best.items():  # fewer steps are cheaper, and worse drawings
        assert min(snap.mean(), short.mean()) > other.mean() + 0.01, steps
    assert snap.mean() > found(TTSnap(scorer="clean")).mean() + 0.03
    assert snap.mean() > found(TTSnap(scorer=None)).mean() + 0.03


class Shuffled:
    """The control: the judge's own scores, dealt out anew."""

    name = "shuffled"

    def __init__(self, judge: Sampler) -> None:
        self.judge, self.rng = judge, np.random.default_rng(0)

    def upper_bound(self, request: Evaluate) -> Usage:
        return self.judge.upper_bound(request)

    async def complete(self, requests: Sequence[Evaluate]) -> list[Evaluated]:
        said = await self.judge.complete(requests)
        return [replace(e, values=self.rng.permutation(e.values)) for e in said]

    async def aclose(self) -> None: ...


def test_with_shuffled_scores_the_gain_is_gone() -> None:
    shuffled = {"shuffled": Shuffled(models()["noise-aware"])}
    blind = rewards(TTSnap(scorer="shuffled"), 200, seeds=SEEDS, each=6, more=shuffled)
    assert blind.mean() < found(BestOfN(STEPS)).mean()
