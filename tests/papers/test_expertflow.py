"""ExpertFlow (arXiv:2410.17954): experts fetched for predicted routes, on held-out questions."""

from dataclasses import replace

import numpy as np
import pytest

from bursar.backends.moe import MOE_WEIGHTS, CachedExperts, MixtureOfExperts
from bursar.errors import BadInput
from bursar.policies.expert_cache import (
    EXPERT_CACHE,
    CacheState,
    ExpertFlow,
    LeastRecentlyUsed,
    RoutePredictor,
    regroup,
)
from bursar.price import Price
from bursar.simulate.expert_cache import CacheRun, serve_experts
from bursar.workload.expert_routing import RoutingTrace, recorded

FIT, HELD_OUT = recorded()
PREDICTOR = RoutePredictor.fit(FIT)
EXPECTED = PREDICTOR.predict(HELD_OUT.token, HELD_OUT.question)
SEEDS = (0, 1, 2)
BATCH = 4
FETCHES = 4


def drawn(seed: int, tokens: int = 512, batch: int = BATCH) -> np.ndarray:
    """(batches, batch) rows of the held-out trace: tokens of many questions, as served together."""
    rows = np.random.default_rng(seed).permutation(len(HELD_OUT))[:tokens]
    return rows.reshape(-1, batch)


def run(name: str, seed: int, slots: int, expected: np.ndarray | None = None) -> CacheRun:
    return serve_experts(
        HELD_OUT, drawn(seed), EXPERT_CACHE[name](), slots=slots, fetches=FETCHES, expected=expected
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("slots", [24, 48, 72])
def test_more_hits_than_lru_at_equal_slots(slots: int, seed: int) -> None:
    flow, lru = run("expertflow", seed, slots, EXPECTED), run("lru", seed, slots)
    assert flow.needed == lru.needed
    assert flow.hit_rate > lru.hit_rate + 0.1
    assert flow.loads < 1.15 * lru.loads


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("slots", [24, 48])
def test_the_prediction_is_what_helps(slots: int, seed: int) -> None:
    """Control: the same prefetching by the routes of the average token."""
    average = np.broadcast_to(PREDICTOR.average, EXPECTED.shape)
    flow, blind = (run("expertflow", seed, slots, e) for e in (EXPECTED, average))
    assert flow.waited < 0.9 * blind.waited


@pytest.mark.parametrize("slots", [24, 48])
def test_more_hits_than_keeping_the_most_used(slots: int) -> None:
    """What a cache that never changes can do at best, knowing all loads of the fit part."""
    kept = np.argsort(-FIT.load().ravel())[:slots]
    keys = HELD_OUT.experts + 16 * np.arange(6)[:, None]
    needed = [np.unique(keys[rows]) for rows in drawn(0)]
    static = np.mean(np.isin(np.concatenate(needed), kept))
    assert run("expertflow", 0, slots, EXPECTED).hit_rate > static + 0.1


def distinct(batches: np.ndarray) -> float:
    """Mean number of experts that a batch needs, over all layers."""
    return float(
        np.mean(
            [
                sum(len(np.unique(HELD_OUT.experts[rows, layer])) for layer in range(6))
                for rows in batches
            ]
        )
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_regrouping_lowers_the_distinct_experts_of_a_batch(seed: int) -> None:
    arrival = drawn(seed, batch=16)
    rows = arrival.ravel()
    grouped = rows[regroup(EXPECTED[rows], batch_tokens=16, top_k=2)]
    assert sorted(grouped.ravel()) == sorted(rows)
    assert distinct(grouped) < 0.85 * distinct(arrival)
    mixed = np.random.default_rng(seed).permutation(EXPECTED[rows])
    control = rows[regroup(mixed, batch_tokens=16, top_k=2)]
    assert distinct(control) == pytest.approx(distinct(arrival), rel=0.05)


def questions(count: int, length: int) -> np.ndarray:
    """(count, length) the beginnings of held-out questions."""
    starts = np.flatnonzero(np.diff(HELD_OUT.question, prepend=-1))
    ends = np.append(starts[1:], len(HELD_OUT))
    long = [s for s, e in zip(starts, ends, strict=True) if e - s >= length][:count]
    return np.stack([HELD_OUT.token[s : s + length] for s in long])


def expected_of(tokens: np.ndarray) -> np.ndarray:
    asked = np.repeat(np.arange(len(tokens)), tokens.shape[1])
    return PREDICTOR.predict(tokens.ravel(), asked)


@pytest.mark.parametrize("slots", [16, 32])
def test_outputs_are_those_with_all_experts_resident(slots: int) -> None:
    model = MixtureOfExperts.load(MOE_WEIGHTS / "tiny-moe")
    tokens = questions(6, 8)
    cached = {
        name: CachedExperts(model, EXPERT_CACHE[name](), slots, FETCHES)
        for name in ("expertflow", "lru")
    }
    for row in tokens:
        resident = model.forward(row[None])
        for experts in cached.values():
            experts.expected = expected_of(row[None]).sum(0)
            found = model.forward(row[None], experts)
            np.testing.assert_array_equal(found.logits, resident.logits)
            np.testing.assert_array_equal(found.experts, resident.experts)
    assert cached["expertflow"].waited < cached["lru"].waited


def test_regrouped_questions_get_the_same_outputs() -> None:
    model = MixtureOfExperts.load(MOE_WEIGHTS / "tiny-moe")
    tokens = questions(8, 12)
    whole = expected_of(tokens).reshape(8, 12, 6, 16).sum(1)
    for rows in regroup(whole, batch_tokens=4, top_k=4):
        together = model.forward(tokens[rows]).logits
        for row, logits in zip(rows, together, strict=True):
            np.testing.assert_allclose(logits, model.forward(tokens[[row]]).logits[0], atol=1e-4)


def test_a_predictor_learns_what_follows_from_the_tokens() -> None:
    """Held out, of the two likeliest experts more are right than of the two most used."""
    hits = {}
    for name, expected in (("context", EXPECTED), ("average", np.array([PREDICTOR.average]))):
        top = np.argsort(-expected, axis=2)[:, :, :2]
        found = (HELD_OUT.experts[..., None] == top[:, :, None, :]).any(-1)
        hits[name] = found.mean()
    assert hits["context"] > hits["average"] + 0.3


def state(**changes: object) -> CacheState:
    return replace(CacheState(slots=4, experts=4, layers=2), **changes)  # type: ignore[arg-type]


def test_lru_drops_the_longest_unused() -> None:
    full = state(resident=(0, 5, 1, 6), needed=frozenset({1, 2}))
    fetch = LeastRecentlyUsed().decide(full, 0.0, Price())
    assert (fetch.load, fetch.evict) == ((2,), (0,))
    after = full.after(fetch).used(full.needed)
    assert after.resident == (5, 6, 1, 2)


def test_the_expert_expected_last_makes_room() -> None:
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[1, 1] = expected[2, 0] = 1  # layers 0, 1, then 0 of the next batch
    full = state(resident=(0, 5, 3, 6), fetches=2, expected=expected)
    fetch = ExpertFlow().decide(full, 0.0, Price())
    assert (fetch.load, fetch.evict) == ((1,), (3,))
    waiting = replace(full, needed=frozenset({1, 2}))
    assert ExpertFlow().decide(waiting, 0.0, Price()).evict == (3, 6)


def test_too_few_slots_are_refused() -> None:
    with pytest.raises(BadInput, match="8 slots for 16 experts"):
        run("lru", 0, slots=8)


def test_tokens_that_fill_no_batch_are_refused() -> None:
    with pytest.raises(BadInput, match="5 tokens do not fill batches of 4"):
        regroup(EXPECTED[:5], batch_tokens=4, top_k=2)


def test_nothing_is_learnt_from_nothing() -> None:
    empty: RoutingTrace = FIT.rows(np.zeros(len(FIT), bool))
    with pytest.raises(BadInput, match="a trace of 0 tokens"):
        RoutePredictor.fit(empty)
