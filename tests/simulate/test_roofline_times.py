"""The simulator's step times are those of the cost model, for every model and batch."""

from bisect import bisect_right
from dataclasses import replace

import numpy as np
import pytest

from bursar import catalog
from bursar.cost import MEASURED, Deployment, joules, step_arrays
from bursar.errors import BadInput
from bursar.simulate.roofline_times import RooflineTimes

MODELS = sorted(catalog.models())


def classes(windows: tuple[int, ...], contexts: list[int]) -> tuple[list[int], list[int]]:
    """Counts and sums of contexts by class, as `StepTimes` takes them."""
    counts, sums = [0] * (len(windows) + 1), [0] * (len(windows) + 1)
    for context in contexts:
        counts[bisect_right(windows, context)] += 1
        sums[bisect_right(windows, context)] += context
    return counts, sums


def truth(place: Deployment, rows: list[tuple[int, int]]) -> tuple[float, float]:
    """Seconds and joules of a step of (new, context) rows by the roofline."""
    place = replace(place, efficiency=MEASURED)
    new, context = np.array(rows, dtype=float).T
    steps = step_arrays(place, new, context)
    energy = joules(place, steps)
    assert energy is not None
    return float(steps.seconds), float(energy)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("tp", [1, 2])
def test_a_mixed_step_costs_what_the_cost_model_says(name: str, tp: int) -> None:
    place = Deployment(catalog.model(name), catalog.device("h100"), tp=tp, dtype="fp8")
    times, rng = RooflineTimes(place), np.random.default_rng(tp)
    for _ in range(8):
        decoding = [int(x) for x in rng.integers(1, 9000, rng.integers(0, 200))]
        chunks = [(int(n), int(c)) for n, c in rng.integers((1, 0), (3000, 6000), (2, 2))]
        chunks.append((int(rng.integers(1, 3000)), 0))
        counts, sums = classes(times.windows, decoding)
        expected = truth(place, [*((1, c) for c in decoding), *chunks])
        assert times.step(counts, sums, chunks) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_a_line_is_the_steps_one_by_one(name: str) -> None:
    place = Deployment(catalog.model(name), catalog.device("a100"))
    times, rng = RooflineTimes(place), np.random.default_rng(0)
    for _ in range(4):
        decoding = [int(x) for x in rng.integers(1, 9000, rng.integers(1, 100))]
        line = times.line(*classes(times.windows, decoding))
        until = min((w - c for c in decoding for w in times.windows if w > c), default=400)
        for step in {0, 1, int(min(line.steps, until, 400)) - 1}:
            expected = truth(place, [(1, c + step) for c in decoding])
            seconds = line.seconds + step * line.seconds_slope
            energy = line.joules + step * line.joules_slope
            assert (seconds, energy) == pytest.approx(expected, rel=1e-9)


def test_a_line_ends_where_another_resource_binds() -> None:
    """Sparse latent attention: compute binds within its window, later the index's memory."""
    place = Deployment(catalog.model("deepseek-v3.2"), catalog.device("a100"))
    times, jobs, context = RooflineTimes(place), 8, 3000
    line = times.line([0, jobs], [0, jobs * context])
    last = int(line.steps)
    for step, same in ((last - 1, True), (last, True), (last + 200, False)):
        seconds, _ = truth(place, [(1, context + step)] * jobs)
        predicted = line.seconds + step * line.seconds_slope
        assert (predicted == pytest.approx(seconds, rel=1e-6)) is same


def test_a_rooflines_pipelines_are_refused() -> None:
    with pytest.raises(BadInput, match="pp = 2"):
        RooflineTimes(Deployment(catalog.model("llama-3.1-8b"), catalog.device("h100"), pp=2))
