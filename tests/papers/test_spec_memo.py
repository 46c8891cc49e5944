"""SpecMemo (arXiv:2506.01986): what speculation takes of memory, and how little of it is enough."""

from functools import cache

import pytest
from tiny_pair import draft, requests, speak, target, tokens_per_call

from bursar.backends.speculative import Footprint, RsdC, SpecMemo, Spoken, kept_by_place
from bursar.errors import Infeasible

FULL = RsdC.constant((3, 2, 2, 1))
NOISES = (0.0, 0.4)


@cache
def memo(noise: float) -> SpecMemo:
    """Acceptance is measured on other questions than it is used on."""
    texts = speak(requests(5, seed=100), FULL, noise=noise)
    footprint = Footprint.of(draft().config, target().config)
    return SpecMemo(footprint, FULL, kept_by_place(texts, 4, 3))


@cache
def said(shape: RsdC, noise: float) -> list[Spoken]:
    return speak([r for seed in range(3) for r in requests(2, seed)], shape, noise=noise)


def longest(noise: float) -> int:
    return max(len(text.prompt) + text.most for text in said(FULL, noise))


@pytest.mark.parametrize("noise", NOISES)
def test_measured_buffers_stay_within_the_bound_and_near_it(noise: float) -> None:
    trees = memo(noise)
    for nodes in (0, 16, FULL.most_nodes):
        shape = trees.trimmed(nodes)
        peaks = [text.peak_bytes for text in said(shape, noise)]
        bounds = [trees.footprint.bytes(len(t.prompt) + t.most, nodes) for t in said(shape, noise)]
        assert shape.most_nodes == nodes
        assert all(peak <= bound for peak, bound in zip(peaks, bounds, strict=True))
        assert max(peaks) > 0.97 * max(bounds)


@pytest.mark.parametrize("noise", NOISES)
def test_half_of_the_candidates_memory_keeps_nine_tenths_of_the_tokens_per_call(
    noise: float,
) -> None:
    trees, length = memo(noise), longest(noise)
    candidates = FULL.most_nodes * trees.footprint.candidate_bytes
    half = trees.footprint.bytes(length, FULL.most_nodes) - 0.5 * candidates
    shape = trees.fit(half, length)
    assert shape.most_nodes <= FULL.most_nodes / 2
    full = tokens_per_call(said(FULL, noise))
    assert tokens_per_call(said(shape, noise)) >= 0.9 * full
    # and at the least memory that is predicted to
    least = trees.fit(trees.least_bytes(length), length)
    assert least.most_nodes <= shape.most_nodes
    assert tokens_per_call(said(least, noise)) >= 0.85 * full


def test_the_most_valuable_candidates_are_worth_more_than_the_first_by_level() -> None:
    trimmed, by_level = memo(0.0).trimmed(6), RsdC(((3,), (2, 1, 0)))
    assert trimmed.most_nodes == by_level.most_nodes
    assert tokens_per_call(said(trimmed, 0.0)) > tokens_per_call(said(by_level, 0.0)) + 0.5


@pytest.mark.parametrize("noise", NOISES)
def test_below_the_bound_the_gain_shrinks_to_nothing(noise: float) -> None:
    trees, length = memo(noise), longest(noise)
    bound = trees.least_bytes(length)
    one = trees.footprint.bytes(length, 1)
    budgets = (bound, (bound + one) / 2, one, one - 1)
    gains = [tokens_per_call(said(trees.fit(b, length), noise)) - 1 for b in budgets]
    assert gains == sorted(gains, reverse=True)
    assert gains[2] < 0.6 * gains[0]
    assert gains[3] == 0.0


def test_where_the_target_alone_does_not_fit_it_says_so() -> None:
    with pytest.raises(Infeasible, match="too little"):
        memo(0.0).fit(1000, 100)
