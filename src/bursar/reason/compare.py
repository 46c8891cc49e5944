"""Compare: strategies and models at equal limits on the same questions, with paired intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Trial:
    """One strategy on one set of models at one budget with one seed: right or wrong per question,
    and what it spent."""

    model: str
    strategy: str
    budget: float
    seed: int
    tasks: tuple[str, ...]
    correct: tuple[bool, ...]
    spent: float
    spent_by_question: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A strategy on a model at a budget on one task ("all": every question), over all seeds.

    `low`, `high`: 95 % Wilson interval of the accuracy. `lead`, `lead_low`, `lead_high`: by how
    much the reference is more accurate on the same questions at that budget, with its 95 %
    bootstrap interval over them. `front`: in which share of the resamples nothing else was as
    accurate for as little or less.
    """

    task: str
    model: str
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
    front: float


@dataclass(frozen=True, slots=True)
class Standing:
    """A place on the leaderboard: mean accuracy over the logarithm of the budget (the area under
    the frontier, as a share), with its 95 % bootstrap interval, and how often it was the first.
    """

    task: str
    model: str
    strategy: str
    area: float
    low: float
    high: float
    first: float


Key = tuple[str, str, float]
"""(model, strategy, budget)."""


@dataclass(frozen=True, slots=True)
class _View:
    """The trials' questions of one task: what each strategy got right, and its resamples."""

    task: str
    seeds: int
    spent: dict[Key, float]
    correct: dict[Key, Floats]
    drawn: dict[Key, Floats]
    """Accuracy in each resample, the same questions drawn for everyone (RESAMPLES,)."""


def rows(trials: Sequence[Trial], reference: str, seed: int = 0) -> list[Row]:
    """One row per (task, model, strategy, budget), paired question by question with `reference`, a
    strategy's name, on the same model."""
    out = []
    for view in _views(trials, seed):
        for key, right in view.correct.items():
            model, name, budget = key
            base = (model, reference, budget)
            lead = lead_low = lead_high = np.nan
            if base in view.correct and len(view.correct[base]) == len(right):
                lead = float((view.correct[base] - right).mean())
                ends = np.quantile(view.drawn[base] - view.drawn[key], [0.025, 0.975])
                lead_low, lead_high = map(float, ends)
            low, high = interval(round(right.sum()), len(right))
            out.append(
                Row(view.task, model, name, budget, view.spent[key], float(right.mean()), low, high,
                    view.seeds, lead, lead_low, lead_high, _on_front(view, key))
            )  # fmt: skip
    return out


def standings(trials: Sequence[Trial], seed: int = 0) -> list[Standing]:
    """The leaderboard of each task, best first: who was tried at every budget."""
    out = []
    for view in _views(trials, seed):
        budgets = sorted({budget for *_, budget in view.correct})
        whole = [
            who
            for who in dict.fromkeys(key[:2] for key in view.correct)
            if all((*who, b) in view.correct for b in budgets)
        ]
        if not whole:
            continue
        weights = _weights(budgets)
        drawn = np.array(
            [sum(w * view.drawn[*who, b] for w, b in zip(weights, budgets, strict=True))
             for who in whole]
        )  # fmt: skip
        first = np.mean(drawn == drawn.max(axis=0), axis=1)
        places = []
        for who, mine, often in zip(whole, drawn, first, strict=True):
            area = sum(
                w * float(view.correct[*who, b].mean())
                for w, b in zip(weights, budgets, strict=True)
            )
            low, high = map(float, np.quantile(mine, [0.025, 0.975]))
            places.append(Standing(view.task, *who, area, low, high, float(often)))
        out += sorted(places, key=lambda place: -place.area)
    return out


def interval(right: int, count: int) -> tuple[float, float]:
    """The 95 % Wilson interval of an accuracy of `right` out of `count`."""
    found = stats.binomtest(right, count).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def _views(trials: Sequence[Trial], seed: int) -> Iterator[_View]:
    tasks = sorted({t for trial in trials for t in trial.tasks})
    wanted: list[tuple[str, Callable[[str], bool]]] = [("all", lambda _: True)]
    if len(tasks) > 1:
        wanted += [(task, task.__eq__) for task in tasks]
    groups: dict[Key, list[Trial]] = {}
    for trial in sorted(trials, key=lambda t: (t.budget, t.seed)):
        groups.setdefault((trial.model, trial.strategy, trial.budget), []).append(trial)
    for task, mine in wanted:
        correct = {key: _correct(group, mine) for key, group in groups.items()}
        draws: dict[int, NDArray[np.int64]] = {}
        for right in correct.values():  # as many questions, the same questions drawn
            if len(right) not in draws:
                rng = np.random.default_rng(seed)
                draws[len(right)] = rng.integers(len(right), size=(RESAMPLES, len(right)))
        yield _View(
            task,
            max(len(group) for group in groups.values()),
            {key: _spent(group, mine) for key, group in groups.items()},
            correct,
            {key: right[draws[len(right)]].mean(axis=1) for key, right in correct.items()},
        )


def _on_front(view: _View, key: Key) -> float:
    beaten = np.zeros(RESAMPLES, dtype=np.bool_)
    for other, spent in view.spent.items():
        if other == key or spent > view.spent[key]:
            continue
        better = view.drawn[other] - view.drawn[key]
        beaten |= better >= 0 if spent < view.spent[key] else better > 0
    return float(1 - beaten.mean())


def _weights(budgets: Sequence[float]) -> Floats:
    """Of each budget in the mean over its logarithm (trapezoids); they add up to 1."""
    if len(budgets) == 1:
        return np.ones(1)
    steps = np.diff(np.log(budgets))
    ends = np.concatenate([[0.0], steps, [0.0]])
    weights: Floats = (ends[:-1] + ends[1:]) / 2 / steps.sum()
    return weights


def _spent(trials: Sequence[Trial], wanted: Callable[[str], bool]) -> float:
    spent = [
        sum(s for s, q in zip(t.spent_by_question, t.tasks, strict=True) if wanted(q))
        for t in trials
    ]
    return float(np.mean(spent))


def _correct(trials: Sequence[Trial], wanted: Callable[[str], bool]) -> Floats:
    """Right or wrong of the wanted questions, seeds one after another."""
    return np.array(
        [c for t in trials for c, q in zip(t.correct, t.tasks, strict=True) if wanted(q)],
        dtype=np.float64,
    )
