"""Claim: one dial from .25 to 1 sets how long to think, relative to what the question takes."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from effort_arena import SEEDS, said

MODEL = "tiny-e1"
DIALS = (0.25, 0.5, 0.75, 1.0)
RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "effort_dials.json"


def test_mean_length_rises_with_the_dial() -> None:
    tokens = [said(MODEL, dial)[1].mean(axis=(1, 2)) for dial in DIALS]
    for lower, higher in pairwise(tokens):
        assert (lower < higher).all(), f"not for every one of {len(SEEDS)} seeds"
    assert tokens[0].mean() < 0.6 * tokens[-1].mean()


@pytest.mark.parametrize("dial", DIALS)
def test_at_a_fixed_dial_longer_chains_get_more_tokens(dial: float) -> None:
    by_level = said(MODEL, dial)[1].mean(axis=(0, 1))
    assert (np.diff(by_level) > 0).all()
