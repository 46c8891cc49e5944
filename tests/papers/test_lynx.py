"""Claim: a calibrated probe ends texts that check themselves sooner, and is rarely wrong to.

Full texts are those of budget forcing: four attempts, the last answer counts. What is said does not
depend on where a text will end, so every rule is played on the looks at the full texts; one test
shows that a rule at work says the same.
"""

from functools import cache

import numpy as np
import pytest
from tiny_arena import SEEDS, questions, run

from bursar.backends.tiny import open_tiny
from bursar.reason.exits.conformal import threshold
from bursar.reason.exits.lynx import Lynx, probe_of
from bursar.reason.exits.strategies import EXITS
from bursar.training.exit_looks import LEVELS, Labelled, Played, collect, play

MODEL = "tiny-0.3m"
ALPHAS = (0.02, 0.05, 0.1, 0.15, 0.2)
COUNT = 100


@cache
def texts() -> Labelled:
    """Looks at held-out texts, three seeds of them."""
    engine = open_tiny(MODEL).engine
    parts = [collect(engine, questions("chain", LEVELS, COUNT, s), seed=s) for s in SEEDS]
    return Labelled.join(parts)


def by_probe(alpha: float) -> Played:
    probe = probe_of(MODEL)
    return play(texts(), probe.score(texts().looks), threshold(probe.by_trajectory, alpha))


def slack(alpha: float, count: int) -> float:
    """Three standard errors of a share alpha among the held-out and among the calibration texts."""
    calibration = len(probe_of(MODEL).by_trajectory)
    return float(3 * np.sqrt(alpha * (1 - alpha) * (1 / count + 1 / calibration)))


@pytest.mark.parametrize("alpha", ALPHAS)
def test_at_most_alpha_of_the_texts_are_left_with_a_wrong_answer(alpha: float) -> None:
    played = by_probe(alpha)
    assert played.premature <= alpha + slack(alpha, len(played.left))
    assert played.left.any()


def test_tokens_are_cut_by_a_third_at_no_less_than_full_accuracy() -> None:
    full, lynx = play(texts(), np.zeros(len(texts().safe), np.float32), np.inf), by_probe(0.1)
    assert lynx.tokens.mean() < 0.7 * full.tokens.mean()
    assert lynx.right.mean() > full.right.mean() - 0.01


def test_more_right_than_a_fixed_cut_and_a_likelihood_threshold_at_equal_tokens() -> None:
    likelihood = texts().looks.logprobs[:, 0]
    grid = np.quantile(likelihood, np.linspace(0, 1, 200))
    fixed = [play(texts(), texts().looks.attempts.astype(np.float32), k - 0.5) for k in range(1, 5)]
    cut, likely = [], []
    for alpha in ALPHAS:
        lynx = by_probe(alpha)
        spent = lynx.tokens.mean()
        same = min(grid, key=lambda g: abs(play(texts(), likelihood, g).tokens.mean() - spent))
        likely.append(lynx.right.mean() - play(texts(), likelihood, same).right.mean())
        # the line between the cuts at k attempts: some texts get one more than others
        cuts = np.interp(spent, [f.tokens.mean() for f in fixed], [f.right.mean() for f in fixed])
        cut.append(lynx.right.mean() - cuts)
    assert np.mean(cut) > 0.04
    assert np.mean(likely) > 0.0


def test_calibrated_by_looks_the_published_guarantee_holds_per_look() -> None:
    """How looks add up over a text is simulated in tests/reason/exits/test_conformal.py."""
    probe, held = probe_of(MODEL), texts()
    scores = probe.score(held.looks)[~held.safe]
    count = len(np.unique(held.looks.rows[~held.safe]))  # looks at one text are not independent
    for alpha in ALPHAS:
        above = threshold(probe.by_event, alpha)
        assert (scores > above).mean() <= alpha + 1.5 * slack(alpha, count)


def test_shuffled_scores_are_left_wrongly_far_more_often() -> None:
    """The control: a probe that knows nothing buys no accuracy with its tokens."""
    scores = probe_of(MODEL).score(texts().looks)
    shuffled = np.random.default_rng(0).permutation(scores)
    above = threshold(probe_of(MODEL).by_trajectory, 0.1)
    assert play(texts(), shuffled, above).premature > 0.1 + slack(0.1, len(texts().lengths))


def test_the_strategy_says_what_the_looks_said() -> None:
    solution = run(EXITS["lynx"](), "chain", LEVELS, tokens=None, count=COUNT, model=MODEL)
    expected = by_probe(Lynx().alpha)
    assert [bool(c) for c in solution.correct] == expected.right[:COUNT].tolist()
    said = [a.usage.tokens_out for a in solution.answers]
    assert said == expected.tokens[:COUNT].tolist()
