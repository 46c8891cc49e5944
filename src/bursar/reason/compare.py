"""Compare: strategies at equal limits on the same questions and the same draws, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Trial:
    """One strategy at one budget with one seed: right or wrong per question, and what it spent."""

    strategy: str
    budget: float
    seed: int
    tasks: tuple[str, ...]
    correct: tuple[bool, ...]
    spent: float
    spent_by_question: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A strategy at a budget on one task ("all": every question), over all seeds.

    `low`, `high`: 95 % Wilson interval of the accuracy. `lead`, `lead_low`,
    `lead_high`: by how much the reference strategy is more accurate on the
    same questions, with its 95 % bootstrap interval over them.
    """

    task: str
    strategy: str
    budget: float
    spent: float
    accuracy: float
    low: float
    high: float
    seeds: int
    lead: float
    lead_low: float
    lead_high: float


def rows(trials: Sequence[Trial], reference: str, seed: int = 0) -> list[Row]:
    """One row per (task, strategy, budget), paired with `reference` question by question."""
    tasks = sorted({t for trial in trials for t in trial.tasks})
    views: list[tuple[str, Callable[[str], bool]]] = [("all", lambda _: True)]
    if len(tasks) > 1:
        views += [(task, task.__eq__) for task in tasks]
    out = []
    for task, wanted in views:
        for budget in sorted({t.budget for t in trials}):
            at = [t for t in trials if t.budget == budget]
            base = _correct((t for t in at if t.strategy == reference), wanted)
            for name in dict.fromkeys(t.strategy for t in at):
                mine = [t for t in at if t.strategy == name]
                right = _correct(mine, wanted)
                spent = [
                    sum(s for s, q in zip(t.spent_by_question, t.tasks, strict=True) if wanted(q))
                    for t in mine
                ]
                draw = np.random.default_rng(seed).integers(
                    len(right), size=(RESAMPLES, len(right))
                )
                low, high = interval(round(right.sum()), len(right))
                lead = base - right if len(base) == len(right) else np.full(len(right), np.nan)
                lead_low, lead_high = np.quantile(lead[draw].mean(axis=1), [0.025, 0.975])
                out.append(
                    Row(task, name, budget, float(np.mean(spent)), float(right.mean()), float(low),
                        float(high), len(mine), float(lead.mean()), float(lead_low),
                        float(lead_high))
                )  # fmt: skip
    return out


def interval(right: int, count: int) -> tuple[float, float]:
    """The 95 % Wilson interval of an accuracy of `right` out of `count`."""
    found = stats.binomtest(right, count).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def _correct(trials: Iterable[Trial], wanted: Callable[[str], bool]) -> Floats:
    """Right or wrong of the wanted questions, seeds one after another."""
    ordered = sorted(trials, key=lambda t: t.seed)
    return np.array(
        [c for t in ordered for c, q in zip(t.correct, t.tasks, strict=True) if wanted(q)],
        dtype=np.float64,
    )
