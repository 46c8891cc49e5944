"""Sequential against parallel search at equal budgets, and a selector fitted on which one won.

Run: python benchmarks/backtrack.py [--questions 40]

A cell is a model, a task, a level, a limited resource, a budget for a question, and whether the
model holds texts to go on from (else they are sent and paid again at every line); both searches get
the same questions and the same budget. Parallel sampling pays its prompt at every attempt. One draw
of held-out questions fits the weights of `SelectSearch`, another measures it: on those that the
models were trained on going on line by line looks better than it is. Where both are right equally
often nobody won; a winner is clear that leads by a tenth of the questions.
"""

import argparse
import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from machine import cpu
from scipy.optimize import minimize

from bursar.backends import open_backend
from bursar.backends.base import Backend
from bursar.budget import Budget
from bursar.reason.base import Work
from bursar.reason.best_of_n import BestOfN
from bursar.reason.memo import Memo
from bursar.reason.models import features
from bursar.reason.parallel.backtrack import Backtrack, search
from bursar.reason.parallel.select import Features, SelectSearch
from bursar.reason.purse import Purse
from bursar.reason.rounds import RoundRobin
from bursar.reason.solve import solve
from bursar.reason.workbench import Workbench
from bursar.workload.tasks import TASKS
from bursar.workload.tasks.base import Question

RESULTS = Path(__file__).parent / "results" / "backtrack.json"
MODELS = ("tiny-0.3m", "tiny-1m")
BUDGETS: dict[str, dict[str, tuple[int, ...]]] = {
    "sudoku4": {"tokens_out": (30, 45, 70), "tokens": (60, 100, 300)},
    "countdown": {"tokens_out": (50, 100, 200), "tokens": (60, 100, 300)},
}
LEVELS = {"sudoku4": ("8", "9", "10", "11"), "countdown": ("3", "4", "5")}
CELLS = [
    (model, task, level, resource, budget, holds)
    for model in MODELS
    for task, levels in LEVELS.items()
    for level in levels
    for resource, budgets in BUDGETS[task].items()
    for budget in budgets
    for holds in ((True,) if resource == "tokens_out" else (True, False))
]


def bench(model: str, backend: Backend, limits: dict[str, float], holds: bool) -> Workbench:
    known = features(model)
    return Workbench(
        Purse(Budget(limits), {model: backend}),
        TASKS,
        stop={model: known.stop},
        revise={model: known.revise} if known.revise else {},
        keeps=frozenset({model} if holds else ()),
    )


async def probed(questions: Sequence[Question], at: Workbench, budget: float) -> Features:
    """What the first attempts at a few questions show, the rest of the budget still unspent."""
    works = [Work(q) for q in questions[: SelectSearch().probes]]
    await search(works, {}, at, rounds=1)
    return Features.of([w for w in works if w.attempts], at, budget)


def measure(name: str, count: int, seed: int, backends: dict[str, Backend]) -> list[dict[str, Any]]:
    """One row a cell: what each search got right, and what the selector saw."""
    rows = []
    for model, task, level, resource, budget, holds in CELLS:
        questions = TASKS[task].generate(count, seed=seed, levels=(level,))
        limits = {resource: float(budget * count)}
        desk = partial(bench, model, backends[model], limits, holds)
        won = [
            asyncio.run(solve(how, questions, desk())).num_right
            for how in (RoundRobin("parallel", BestOfN()), Backtrack())
        ]
        saw = asyncio.run(probed(questions, desk(), budget))
        row = {
            "model": model, "task": task, "level": level, "resource": resource, "budget": budget,
            "holds": holds, "parallel": won[0], "sequential": won[1],
            "row": [round(x, 4) for x in saw.row],
        }  # fmt: skip
        rows.append(row)
        print(name, *row.values(), flush=True)
    return rows


def fitted(rows: Sequence[dict[str, Any]], ridge: float = 1e-3) -> list[float]:
    """Logistic regression on who won."""
    won = [r for r in rows if r["parallel"] != r["sequential"]]
    x = np.array([r["row"] for r in won])
    sign = np.array([np.sign(r["sequential"] - r["parallel"]) for r in won])

    def loss(w: np.ndarray) -> float:
        return float(np.mean(np.logaddexp(0, -sign * (x @ w))) + ridge * w @ w)

    return [round(float(w), 3) for w in minimize(loss, np.zeros(x.shape[1])).x]


def picked(
    rows: Sequence[dict[str, Any]], weights: Sequence[float], lead: float = 1
) -> dict[str, Any]:
    """How many winners by `lead` these weights name; and right answers against either search."""
    won = [r for r in rows if abs(r["parallel"] - r["sequential"]) >= lead]
    says = [float(np.dot(weights, r["row"])) > 0 for r in won]
    right = [s == (r["sequential"] > r["parallel"]) for s, r in zip(says, won, strict=True)]
    chosen = [r["sequential"] if s else r["parallel"] for s, r in zip(says, won, strict=True)]
    return {
        "cells": len(rows), "with_a_winner": len(won), "picked": sum(right),
        "share": round(float(np.mean(right)), 3), "chosen_right": sum(chosen),
        "always_parallel": sum(r["parallel"] for r in won),
        "always_sequential": sum(r["sequential"] for r in won),
        "best_of_both": sum(max(r["parallel"], r["sequential"]) for r in won),
    }  # fmt: skip


def elsewhere(
    train: Sequence[dict[str, Any]], test: Sequence[dict[str, Any]], name: str
) -> dict[str, Any]:
    """Each model's (level's) test cells with weights from the train cells of the others."""
    hits, total = 0, 0
    for value in sorted({r[name] for r in test}):
        found = picked(
            [r for r in test if r[name] == value], fitted([r for r in train if r[name] != value])
        )
        hits, total = hits + found["picked"], total + found["with_a_winner"]
    return {"with_a_winner": total, "picked": hits, "share": round(hits / total, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=40, help="questions of each cell")
    count = parser.parse_args().questions
    backends: dict[str, Backend] = {name: Memo(open_backend(name)) for name in MODELS}
    train, test = (
        measure(name, count, seed, backends) for name, seed in (("train", 8), ("test", 7))
    )
    weights = fitted(train)
    result = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": cpu(),
        "command": f"python benchmarks/backtrack.py --questions {count}",
        "weights": weights,
        "train": picked(train, weights),
        "test": picked(test, weights),
        "test_clear": picked(test, weights, count / 10),
        **{f"other_{name}": elsewhere(train, test, name) for name in ("model", "level")},
        "rows": {"train": train, "test": test},
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({k: result[k] for k in ("weights", "train", "test", "test_clear")}, indent=1))


if __name__ == "__main__":
    main()
