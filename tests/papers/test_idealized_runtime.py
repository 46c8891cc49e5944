"""Idealized runtime (arXiv:2305.02440): a model's own speed, out of busy latencies."""

import time
from itertools import pairwise

import numpy as np
import pytest

from bursar import catalog
from bursar.backends import Request
from bursar.backends.tiny import open_tiny, tiny_sizes
from bursar.cost import Deployment, request_cost
from bursar.cost.idealized import IdealizedRuntime
from bursar.errors import BadInput

PROMPTS, ANSWERS = (64, 512, 2048), (1, 16, 64)
REPEATS = 5
UNSEEN = [(100, 8), (300, 100), (1000, 32), (1500, 128), (3000, 64), (64, 200)]
SEEDS = range(5)
BUSY = {"qwen2.5-7b": 1.5, "qwen2.5-14b": 0.5, "qwen2.5-32b": 0.15, "qwen2.5-72b": 0.05}
"""Models from fast to slow, and how much others delay a request: the fastest is asked the most."""


def uncontended(name: str, prompt: int, out: int) -> float:
    place = Deployment(catalog.model(name), catalog.device("h100-sxm"), tp=4)
    return float(request_cost(place, prompt, out).usage.seconds or 0.0)


def timings(name: str, seed: int, busy: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(prompt, out, seconds) rows; three in four requests meet others, and wait exponentially."""
    rng = np.random.default_rng(seed)
    lengths = [(p, o) for p in PROMPTS for o in ANSWERS for _ in range(REPEATS)]
    prompt, out = np.array(lengths).T
    alone = np.array([uncontended(name, p, o) for p, o in lengths])
    met = rng.random(len(lengths)) < 0.75
    return prompt, out, alone * (1.0 + met * rng.exponential(2.0 * busy, len(lengths)))


def errors(runtime: IdealizedRuntime, name: str) -> np.ndarray:
    alone = np.array([uncontended(name, p, o) for p, o in UNSEEN])
    return np.abs(runtime.seconds(*np.array(UNSEEN).T) / alone - 1.0)


@pytest.mark.parametrize("name", BUSY)
def test_unseen_lengths_within_a_tenth(name: str) -> None:
    for seed in SEEDS:
        assert np.max(errors(IdealizedRuntime.fit(*timings(name, seed, BUSY[name])), name)) < 0.1


def test_the_low_quantile_is_nearer_than_the_middle() -> None:
    busy = "qwen2.5-7b"
    for seed in SEEDS:
        rows = timings(busy, seed, BUSY[busy])
        low = np.median(errors(IdealizedRuntime.fit(*rows), busy))
        middle = np.median(errors(IdealizedRuntime.fit(*rows, quantile=0.5), busy))
        assert low < min(0.1, middle)


def test_ranks_models_where_contention_misorders_the_raw_latencies() -> None:
    misordered = 0
    for seed in SEEDS:
        raw, ideal = [], []
        for name, busy in BUSY.items():
            prompt, out, seconds = timings(name, seed, busy)
            raw.append(float(np.mean(seconds)))
            ideal.append(float(IdealizedRuntime.fit(prompt, out, seconds).seconds(512, 64)))
        misordered += any(a >= b for a, b in pairwise(raw))
        assert all(a < b for a, b in pairwise(ideal))
    assert misordered == len(SEEDS)


def test_without_contention_raw_latencies_rank_as_well() -> None:
    for seed in SEEDS:
        raw = [float(np.mean(timings(name, seed, 0.0)[2])) for name in BUSY]
        assert all(a < b for a, b in pairwise(raw))


def tiny_timings(name: str, lengths: list[tuple[int, int]]) -> np.ndarray:
    """(prompt, out, seconds) rows: the least processor time of a built-in model in many rounds."""
    engine = open_tiny(name).engine
    asked = [Request("7" * prompt, most, temperature=2.0) for prompt, most in lengths]
    best = np.full(len(lengths), np.inf)
    for _ in range(40):
        for i, request in enumerate(asked):
            begun = time.thread_time()
            engine.run([request])
            best[i] = min(best[i], time.thread_time() - begun)
    said = [len(engine.run([request])[0].tokens) for request in asked]
    return np.array([[prompt for prompt, _ in lengths], said, best])


@pytest.mark.slow
def test_the_built_in_models() -> None:
    rng = np.random.default_rng(0)
    raw, ideal = {}, {}
    for name, busy in zip(tiny_sizes(), (4.0, 0.0), strict=False):
        few = [(p, o) for p in (16, 64, 128) for o in (1, 16, 48)]
        rows = tiny_timings(name, [*few, (96, 32), (40, 24), (100, 40)])
        (prompt, out, seconds), unseen = rows[:, : len(few)], rows[:, len(few) :]
        alone = IdealizedRuntime.fit(prompt, out, seconds, quantile=0.5)
        off = np.abs(alone.seconds(unseen[0], unseen[1]) / unseen[2] - 1.0)
        assert np.median(off) < 0.1  # even processor time is noisy where others share the caches
        waits = 1.0 + busy * (rng.random((8, len(few))) < 0.75)
        raw[name] = float(np.mean(seconds * waits))
        ideal[name] = float(IdealizedRuntime.fit(prompt, out, seconds * waits).seconds(64, 48))
    assert len(raw) == 2
    (small, large) = raw
    assert raw[small] > raw[large]
    assert ideal[small] < ideal[large]


def test_variants_charge_for_the_hardware() -> None:
    rows = timings("qwen2.5-7b", 0, 0.0)
    one = IdealizedRuntime.fit(*rows, usd_per_hour=3.6)
    four = IdealizedRuntime.fit(*rows, accelerators=4, usd_per_hour=3.6)
    assert four.accelerator_seconds(512, 64) == pytest.approx(4 * one.seconds(512, 64))
    assert four.usd(512, 64) == pytest.approx(four.accelerator_seconds(512, 64) * 1e-3)
    with pytest.raises(BadInput, match="usd_per_hour"):
        IdealizedRuntime.fit(*rows).usd(512, 64)


@pytest.mark.parametrize(
    ("prompt", "out", "seconds", "said"),
    [
        ([1, 2, 3], [1, 2, 3], [1, 1, 1], "at least 5"),
        ([5] * 5, [1, 2, 3, 4, 5], [1] * 5, "two lengths"),
        ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [1, 1, 1, 1, 0], "above 0"),
        ([1, 2, 3, 4, 5], [0, 2, 3, 4, 5], [1] * 5, "1 or more"),
    ],
)
def test_too_little_to_fit_is_refused(
    prompt: list[int], out: list[int], seconds: list[float], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        IdealizedRuntime.fit(prompt, out, seconds)


def test_a_quantile_above_the_median_is_refused() -> None:
    with pytest.raises(BadInput, match="median"):
        IdealizedRuntime.fit(*timings("qwen2.5-7b", 0, 0.0), quantile=0.9)
