"""Speculative decoding (arXiv:2211.17192): the target's texts in fewer calls, and what it buys."""

import numpy as np
import pytest
from tiny_pair import draft, p_value, requests, speak, target, tokens_per_call

from bursar import catalog
from bursar.backends import Request
from bursar.backends.speculative import IndependentTree, Spoken
from bursar.backends.speculative.backend import DEFAULT_SHAPE, read_shape
from bursar.backends.speculative.cache import Reading, SequenceCache, Work, read
from bursar.backends.tiny.model import Llama
from bursar.cost import Deployment
from bursar.cost.speculative import Speculation, best_length, improvement
from bursar.cost.speculative import tokens_per_call as law
from bursar.errors import BadInput
from bursar.price import Price
from bursar.usage import Usage
from bursar.workload.tasks import TASKS

NOISE = 0.2
LENGTHS = (1, 2, 3, 4, 5, 8)


def chain(length: int) -> IndependentTree:
    return IndependentTree((1,) * length)


def kept_share(texts: list[Spoken]) -> float:
    """Of the drafted tokens that the target judged, those that it kept."""
    verdicts = [place for text in texts for _, place in text.verdicts]
    return verdicts.count(0) / len(verdicts)


def test_texts_pass_a_chi_square_test_against_the_targets_exact_probabilities() -> None:
    (question,) = TASKS["sudoku4"].generate(1, seed=0)
    asked = [Request(question.prompt, 4, question.id, sample=i) for i in range(400)]
    assert p_value(speak(asked, chain(3), noise=0.4)) > 1e-3


@pytest.mark.parametrize("noise", [0.0, NOISE])
def test_tokens_per_call_follow_the_law_at_the_measured_acceptance(noise: float) -> None:
    for length in (1, 2, 4):
        texts = speak(requests(6, seed=0, max_tokens=60), chain(length), noise=noise)
        expected = float(law(kept_share(texts), length))
        # below it: the last round of a text is cut short
        assert 0.88 * expected < tokens_per_call(texts) < 1.05 * expected


def pass_usage(model: Llama, tokens: int) -> Usage:
    """One pass over `tokens` new tokens after 40."""
    cache = SequenceCache(model.config, 40 + tokens)
    for new in (40, tokens):
        work, places = Work(), range(cache.length, cache.length + new)
        read(model, [Reading(cache, work, [7] * new, places, np.tri(new, dtype=np.bool_), new)])
        cache.keep(range(new))
    return Usage(flops=work.flops, bytes_moved=work.bytes_moved)


def test_the_length_picked_at_a_price_on_bytes_is_the_best_of_those_measured() -> None:
    measured, acceptances = {}, []
    for length in LENGTHS:
        texts = speak(requests(4, seed=1, max_tokens=40), chain(length), noise=NOISE)
        # as one text alone would: each pass reads all of its weights
        passes = [(t.draft.passes, t.target.passes) for t in texts]
        weights = [4.0 * (m.matmul_params + m.head_params) for m in (draft(), target())]
        bytes_moved = sum(d * weights[0] + t * weights[1] for d, t in passes)
        measured[length] = bytes_moved / sum(len(t.tokens) for t in texts)
        acceptances.append(kept_share(texts))

    def round_usage(length: int) -> Usage:
        return length * pass_usage(draft(), 1) + pass_usage(target(), length + 1)

    acceptance = float(np.mean(acceptances))
    picked = best_length(acceptance, round_usage, Price({"bytes_moved": 1.0}))
    assert picked in LENGTHS[1:-1]
    assert measured[picked] <= 1.05 * min(measured.values())
    assert max(measured[1], measured[8]) > 1.1 * measured[picked]
    # speculation spends arithmetic to save traffic: where arithmetic is the price, not at all
    assert best_length(acceptance, round_usage, Price({"flops": 1.0})) == 0


def test_the_backends_default_is_what_the_law_picks_for_the_built_in_pair() -> None:
    acceptance = kept_share(speak(requests(6, seed=2, max_tokens=40), chain(4)))
    bytes_per_token = [
        (length * pass_usage(draft(), 1) + pass_usage(target(), length + 1)).bytes_moved
        / float(law(acceptance, length))
        for length in range(17)
    ]
    assert bytes_per_token[read_shape(DEFAULT_SHAPE).most_depth] <= 1.03 * min(bytes_per_token)


def pair(device: str, acceptance: float) -> Speculation:
    place = [Deployment(catalog.model(f"llama-3.1-{size}"), catalog.device(device), tp=4)
             for size in ("70b", "8b")]  # fmt: skip
    return Speculation(place[0], place[1], acceptance)


@pytest.mark.parametrize("device", ["h100-sxm", "a100"])
def test_what_speculation_gains_ends_as_batches_grow(device: str) -> None:
    batches = (1, 8, 32, 128, 512)
    gains = [float(pair(device, 0.7).speedup(4, 1000, b)) for b in batches]
    assert gains == sorted(gains, reverse=True)
    assert gains[0] > 1.5
    assert gains[-1] < 1.0
    lengths = [pair(device, 0.7).fastest_length(1000, b) for b in batches]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] >= 2
    assert lengths[-1] == 0


def test_with_one_sequence_the_prediction_is_near_the_papers_formula() -> None:
    speculation, lengths = pair("h100-sxm", 0.8), np.arange(1, 9)
    plain = speculation.seconds_per_token(0, 1000, 1)
    drafted = speculation.round(1, 1000, 1).seconds
    assert drafted
    ratio = (drafted - float(plain)) / float(plain)
    formula = improvement(0.8, lengths, ratio)
    np.testing.assert_allclose(speculation.speedup(lengths, 1000, 1), formula, rtol=0.05)


def test_a_draft_that_is_never_right_does_not_pay_and_one_that_always_is_gives_all() -> None:
    assert pair("h100-sxm", 0.0).fastest_length(1000, 1) == 0
    assert float(law(1.0, 4)) == 5.0
    with pytest.raises(BadInput, match="acceptance is"):
        law(1.2, 4)
