"""Claim: Medium and Low cut High's tokens by 40 % and 65 %, for 10 % and 15 % of its accuracy."""

import numpy as np
import pytest
from effort_arena import said

MODEL = "tiny-dial"
CUTS = {"medium": (0.40, 0.10), "low": (0.65, 0.15)}


@pytest.mark.parametrize("mode", CUTS)
def test_a_lower_mode_is_much_shorter_and_little_worse(mode: str) -> None:
    cut, lost = CUTS[mode]
    (high_right, high_tokens), (right, tokens) = said(MODEL, "high"), said(MODEL, mode)
    assert tokens.mean() <= (1 - cut) * high_tokens.mean()
    assert right.mean() >= (1 - lost) * high_right.mean()


@pytest.mark.parametrize("mode", CUTS)
def test_what_is_said_without_a_mode_cut_at_as_many_tokens_is_worse(mode: str) -> None:
    right, tokens = said(MODEL, mode)
    _, free = said(MODEL, None)
    means = np.minimum(free.ravel()[:, None], np.arange(513)).mean(axis=0)
    cap = int(np.searchsorted(means, tokens.mean()))
    cut_right, cut_tokens = said(MODEL, None, cap)
    assert cut_tokens.mean() >= tokens.mean()
    assert cut_right.mean() < right.mean() - 0.03


def test_high_is_at_least_as_right_as_the_others() -> None:
    best = said(MODEL, "high")[0].mean()
    assert all(said(MODEL, mode)[0].mean() < best + 0.02 for mode in CUTS)
