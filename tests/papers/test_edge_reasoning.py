"""Claim: on an edge device the planner's frontier is that of brute force, what it chooses changes
as the deadline tightens, and simulation meets every deadline."""

import gzip
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bursar import catalog
from bursar.cost import Deployment
from bursar.errors import Infeasible
from bursar.policies.batching.sarathi import SarathiServe
from bursar.simulate import server_of, simulate
from bursar.value import EdgeReasoning, Menu, Setting, recorded_value
from bursar.workload.traces import Trace

RECORDS = Path(__file__).parents[2] / "../shared/data/reason/zeroeval/correctness.jsonl.gz"
TOKENS = (64, 128, 256, 512, 1024, 2048)
SAMPLES = (1, 2, 4, 8, 16)
PROMPT = 200
DEADLINES = np.geomspace(3, 300, 8)


@dataclass(frozen=True)
class Reasoner:
    """A synthetic model: right when skill beats difficulty, wordier on hard questions; a wrong
    answer is one of several."""

    model: str
    skill: float
    words: float

    def record(
        self, difficulty: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """(answers, lengths) of 32 samples a question; the right answer is 0."""
        shape = (len(difficulty), 32)
        chance = 1 / (1 + np.exp(3 * (difficulty - self.skill)))[:, None]
        wrong = rng.integers(1, 7, shape)
        lengths = self.words * np.exp(0.5 * difficulty[:, None] + 0.4 * rng.standard_normal(shape))
        return np.where(rng.random(shape) < chance, 0, wrong), lengths


REASONERS = (
    Reasoner("qwen2.5-1.5b", 0.0, 350.0),
    Reasoner("llama-3.2-3b", 0.35, 250.0),
    Reasoner("llama-3.1-8b", 0.7, 300.0),
    Reasoner("qwen2.5-14b", 1.1, 350.0),
)


def deployment(model: str, device: str) -> Deployment:
    return Deployment(catalog.model(model), catalog.device(device), dtype="fp16", kv_dtype="fp16")


@cache
def values(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    difficulty = rng.standard_normal(80)
    return np.stack(
        [
            recorded_value(*r.record(difficulty, rng), np.zeros(80), TOKENS, SAMPLES, rng=rng)
            for r in REASONERS
        ]
    )


@cache
def planned(device: str, seed: int) -> Menu:
    places = [deployment(r.model, device) for r in REASONERS]
    return EdgeReasoning(places, PROMPT).menu(TOKENS, SAMPLES, values(seed))


def brute_force(menu: Menu) -> set[tuple[float, float]]:
    points = [
        (float(c), float(v))
        for c, v in zip(menu.cost.ravel(), menu.value.ravel(), strict=True)
        if np.isfinite(c)
    ]
    return {
        (c, v)
        for c, v in points
        if not any((o <= c and w > v) or (o < c and w >= v) for o, w in points)
    }


DEVICES = ("jetson-agx-orin-64gb", "jetson-thor", "jetson-orin-nano-super")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", range(3))
def test_the_frontier_is_that_of_brute_force(device: str, seed: int) -> None:
    menu = planned(device, seed)
    frontier = menu.frontier()
    assert {(s.cost, s.value) for s in frontier} == brute_force(menu)
    for deadline in DEADLINES:
        within = [s for s in frontier if s.cost <= deadline]
        if within:
            assert menu.best(deadline) == within[-1]


@pytest.mark.parametrize("seed", range(3))
def test_the_choice_changes_as_the_deadline_tightens(seed: int) -> None:
    chosen = [planned("jetson-agx-orin-64gb", seed).best(d) for d in DEADLINES]
    assert len({s.model for s in chosen}) >= 3
    assert len({s.tokens for s in chosen}) >= 3
    assert len({s.samples for s in chosen}) >= 2
    assert [s.value for s in chosen] == sorted(s.value for s in chosen)


def finished(device: str, setting: Setting, lengths: np.ndarray) -> float:
    """Seconds until all samples of a question are done, played step by step."""
    server = server_of(deployment(setting.model, device))
    out = np.minimum(np.ceil(lengths), setting.tokens).astype(int)
    trace = Trace(np.zeros(len(out)), np.full(len(out), PROMPT), out)
    return float(simulate(trace, server, SarathiServe()).e2e_s.max())


@pytest.mark.parametrize("device", DEVICES)
def test_every_deadline_is_met_in_simulation(device: str) -> None:
    """Also when every sample is as long as it may be, the worst that can happen."""
    rng, met, used = np.random.default_rng(0), [], []
    for deadline in DEADLINES:
        try:
            setting = planned(device, 0).best(deadline)
        except Infeasible:
            continue
        for lengths in (np.full(setting.samples, 1e9), rng.uniform(50, 3000, setting.samples)):
            seconds = finished(device, setting, lengths)
            met.append(seconds <= deadline)
            used.append(seconds / setting.cost)
    assert all(met)
    assert len(met) >= 8
    assert max(used) > 0.98  # the plan is not met by predicting far too long


def test_what_does_not_fit_is_not_planned() -> None:
    menu = planned("jetson-orin-nano-super", 0)
    assert not np.isfinite(menu.cost[3]).any()  # 14B in 8 GiB
    assert np.isfinite(menu.cost[0]).any()
    with pytest.raises(Infeasible, match="cheapest"):
        menu.best(0.01)


RECORDED = {
    "gemma-2-2b-it": "gemma-2-2b",
    "Phi-3.5-mini-instruct": "phi-3-mini",
    "Meta-Llama-3.1-8B-Instruct": "llama-3.1-8b",
    "gemma-2-9b-it": "gemma-2-9b",
    "Mistral-Nemo-Instruct-2407": "mistral-nemo",
}
CHARACTERS_PER_TOKEN = 4.0


@pytest.mark.shared
@pytest.mark.skipif(not RECORDS.exists(), reason="needs the recorded ZeroEval answers")
def test_recorded_gsm8k_planned_on_one_half_and_kept_on_the_other() -> None:
    """One recorded answer a question, so lengths and models are chosen, not the number of samples.

    A plan from half of the questions is worth on the other half what brute force there finds.
    """
    with gzip.open(RECORDS, "rt") as file:
        rows = {r["model"]: r for r in map(json.loads, file) if r["dataset"] == "gsm"}
    limits = tuple(int(n) for n in np.geomspace(32, 512, 9))
    device = "jetson-agx-orin-64gb"
    tables = []
    for half in (0, 1):
        value = []
        for name in RECORDED:
            wrong = 1 - np.array(rows[name]["correct"])[half::2, None]
            tokens = np.array(rows[name]["out_chars"])[half::2, None] / CHARACTERS_PER_TOKEN
            value.append(
                recorded_value(wrong, tokens, np.zeros(len(wrong)), limits, (1,),
                               rng=np.random.default_rng(0))
            )  # fmt: skip
        tables.append(np.stack(value))
    planner = EdgeReasoning([deployment(m, device) for m in RECORDED.values()], PROMPT)
    here, there = (planner.menu(limits, (1,), table) for table in tables)
    models, lengths = set(), set()
    for deadline in (3, 5, 8, 12, 20, 30):
        plan, best = here.best(deadline), there.best(deadline)
        at = here.models.index(plan.model), limits.index(plan.tokens)
        assert there.value[*at, 0, 0] >= best.value - 0.02
        assert finished(device, plan, np.array([1e9])) <= deadline
        models.add(plan.model)
        lengths.add(plan.tokens)
    assert len(models) >= 2
    assert len(lengths) >= 3
