"""Claim: one dial from .25 to 1 sets how long to think, relative to what the question takes.

That this beats absolute lengths in accuracy at equal tokens did not show: see the last test.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

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
    assert tokens[0].mean() < 0.4 * tokens[-1].mean()


def test_so_does_accuracy_from_end_to_end() -> None:
    assert said(MODEL, 0.25)[0].mean() < said(MODEL, 1.0)[0].mean() - 0.02


@pytest.mark.parametrize("dial", DIALS)
def test_at_a_fixed_dial_longer_chains_get_more_tokens(dial: float) -> None:
    by_level = said(MODEL, dial)[1].mean(axis=(0, 1))
    assert (np.diff(by_level) > 0).all()


def curve(name: str) -> list[dict[str, Any]]:
    return list(json.loads(RESULTS.read_text())[name].values())


def test_the_recorded_curve_is_that_of_these_weights() -> None:
    recorded = json.loads(RESULTS.read_text())["e1"]
    for dial in DIALS:
        right, tokens = said(MODEL, dial)
        assert tokens.mean() == pytest.approx(recorded[str(dial)]["tokens"], rel=0.05)
        assert right.mean() == pytest.approx(recorded[str(dial)]["accuracy"], abs=0.06)


def test_the_twin_spends_alike_on_easy_and_hard_and_is_as_accurate_at_equal_tokens() -> None:
    """The twin's weights are not kept, only its curve. It votes on short chains, where a round is
    cheap, and the relative dial votes on long ones, where a round is dear: neither leads by more
    than the noise of 720 questions a point."""
    e1, twin = curve("e1"), curve("e1_twin")
    for one, other in zip(e1, twin, strict=True):
        assert spread(other) < 0.5 * spread(one)
    known = sorted((row["tokens"], row["accuracy"]) for row in twin)
    at, accuracy = np.array(known).T
    leads = [r["accuracy"] - np.interp(r["tokens"], at, accuracy) for r in e1]
    assert abs(np.mean(leads)) < 0.03


def spread(row: dict[str, Any]) -> float:
    """How many times more the longest chains get than the shortest."""
    return float(row["tokens_by_level"][-1] / row["tokens_by_level"][0])
