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


def test_without_a_mode_cut_at_as_many_tokens_as_low_the_model_is_much_worse() -> None:
    right, tokens = said(MODEL, "low")
    _, free = said(MODEL, None)
    cap = int(np.argmax(np.minimum(free.ravel()[:, None], np.arange(513)).mean(0) >= tokens.mean()))
    cut_right, cut_tokens = said(MODEL, None, cap)
    assert cut_tokens.mean() >= tokens.mean()
    assert cut_right.mean() < right.mean() - 0.1


def test_effort_buys_accuracy_and_the_model_is_no_worse_without_a_mode() -> None:
    high, low, free = (said(MODEL, mode)[0].mean() for mode in ("high", "low", None))
    assert high > low + 0.02
    assert abs(free - high) < 0.05
