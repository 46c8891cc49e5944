"""Compute-optimal test-time scaling on the built-in models: a strategy per bin of difficulty.

Run: python benchmarks/compute_optimal.py [--quick]

First: of best-of-16's accuracy on chains, how much a table of strategies per bin of estimated
difficulty reaches with which share of its tokens; probes are paid for. The table is fitted on
questions of the training split. Beside it the same with the difficulties shuffled. Then: a small
model with as many attempts as the FLOPs of one attempt by a larger one buy, against that one, by
bins of estimated difficulty.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from machine import cpu
from numpy.typing import NDArray
from rich.console import Console

from bursar.backends import open_backend
from bursar.backends.base import Backend
from bursar.budget import Budget
from bursar.cli.screen import plain_table
from bursar.reason.as_backend import offering
from bursar.reason.base import Strategy, Work
from bursar.reason.best_of_n import BestOfN
from bursar.reason.counted import Counted, check_books
from bursar.reason.memo import Memo
from bursar.reason.models import equipped
from bursar.reason.purse import Purse
from bursar.reason.rounds import RoundRobin, Rule
from bursar.reason.route.compute_optimal import ComputeOptimal, Probe, Searched
from bursar.reason.search import Beam, StepSearch
from bursar.reason.self_consistency import SelfConsistency
from bursar.reason.solve import Solution, solve
from bursar.reason.weighted_vote import WeightedVote
from bursar.value.outcomes import Outcomes
from bursar.workload.tasks import TASKS
from bursar.workload.tasks.base import Question

Floats = NDArray[np.float64]
RESULTS = Path(__file__).parent / "results" / "compute_optimal.json"
LEVELS = ("2", "4", "6", "8")
COUNTS = (1, 2, 3, 4, 6, 8, 12, 16)
SHARES = (0.1, 0.15, 0.2, 0.23, 0.3, 0.4)
BAR = 0.23
"""What is asked for, to stay below a quarter on questions whose probes look harder."""
BINS = 8
SEARCHES: dict[str, Strategy] = {"beam": StepSearch("beam", Beam, width=4, passes=1)}


@cache
def _memo(model: str) -> Backend:
    return Memo(open_backend(model))


def answered(
    rule: Rule,
    model: str,
    questions: Sequence[Question],
    seed: int,
    check: bool,
    temperature: float = 0.7,
) -> Solution:
    """All questions under one rule, without a limit; searches may be asked."""
    source = Counted(_memo(model))
    purse = Purse(Budget(None), {model: source})
    bench = equipped(purse, TASKS, seed=seed, check=check, temperature=temperature)
    if questions[0].task == "chain":
        bench.scorers = {}  # the head is not trusted there: without it no states need be remembered
    works = [Work(q) for q in questions]
    with offering(SEARCHES, works, bench):
        solution = asyncio.run(solve(RoundRobin("rule", rule), questions, bench))
    check_books(purse, [source], "rule")
    return solution


def outcomes(
    whole: ComputeOptimal, model: str, questions: Sequence[Question], temperature: float
) -> Outcomes:
    """What each rule gives after the probes, in tokens; the sign is the estimated ease."""
    rules = whole.rules

    def under(rule: Rule) -> Solution:
        return answered(rule, model, questions, 0, False, temperature)

    runs = [under(replace(whole, choice=(name,))) for name in rules]
    ease = [a.p_right or 0.0 for a in under(Probe(whole.probes, whole.greedy)).answers]
    return Outcomes(
        tuple(rules), tuple(q.prompt for q in questions),
        np.array([[bool(c) for c in r.correct] for r in runs], dtype=float).T,
        np.array([[a.usage.tokens or 0.0 for a in r.answers] for r in runs]).T,
        np.tile(np.array(ease)[:, None], (1, len(rules))),
    )  # fmt: skip


def by_table(table: ComputeOptimal, seen: Outcomes) -> tuple[Floats, Floats]:
    """Whether each question is answered rightly, and for how many tokens, as the table says."""
    bins = np.searchsorted(table.edges, seen.sign[:, 0], side="right")
    column = np.array([seen.ways.index(name) for name in table.choice])[bins]
    rows = np.arange(len(column))
    return seen.right[rows, column], seen.cost[rows, column]


def best_of_n(
    model: str, questions: Sequence[Question], temperature: float
) -> dict[int, tuple[Floats, Floats]]:
    """Per N, whether best-of-N answers each question rightly, and for how many tokens."""
    runs = {n: answered(BestOfN(n), model, questions, 0, False, temperature) for n in COUNTS}
    return {
        n: (
            np.array([bool(c) for c in run.correct], dtype=float),
            np.array([a.usage.tokens or 0.0 for a in run.answers]),
        )
        for n, run in runs.items()
    }


def headline(
    model: str, count: int, judge: int, greedy: bool, temperature: float, searches: bool = True
) -> dict[str, Any]:
    """Accuracy of the table over shares of the tokens of best-of-16: fitted on `count` questions
    of the training split, judged on `judge` of the held-out one."""
    rules: dict[str, Rule] = {f"best_of_{n}": BestOfN(n) for n in COUNTS}
    rules |= {f"weighted_vote_{n}": WeightedVote(n) for n in COUNTS}
    rules |= {name: Searched(name) for name in SEARCHES if searches}
    fit_on = TASKS["chain"].generate(count, seed=1, split="train", levels=LEVELS)
    judged = TASKS["chain"].generate(judge, seed=2, levels=LEVELS)
    whole = ComputeOptimal(rules, 1, greedy)
    seen = outcomes(whole, model, fit_on, temperature)
    held_out = outcomes(whole, model, judged, temperature)
    plain = best_of_n(model, judged, temperature)
    most, all_tokens = plain[COUNTS[-1]]
    tokens = float(best_of_n(model, fit_on, temperature)[COUNTS[-1]][1].mean())
    mixed = replace(seen, sign=seen.sign[np.random.default_rng(0).permutation(len(fit_on))])
    rows = []
    for share in SHARES:
        table, blind = (whole.fit(past, share * tokens, BINS) for past in (seen, mixed))
        right, cost = by_table(table, held_out)
        blind_right, blind_cost = by_table(blind, held_out)
        gap = right - most
        rows.append({
            "asked_share": share,
            "accuracy": float(right.mean()), "share": float(cost.sum() / all_tokens.sum()),
            "shuffled_accuracy": float(blind_right.mean()),
            "shuffled_share": float(blind_cost.sum() / all_tokens.sum()),
            "behind_best_of_n": float(-gap.mean()),
            "standard_error": float(gap.std(ddof=1) / np.sqrt(len(gap))),
            "choice": table.choice,
        })  # fmt: skip
    return {
        "model": model, "greedy_probe": greedy, "temperature": temperature, "searches": searches,
        "levels": LEVELS, "fitted_on": len(fit_on), "judged_on": len(judged),
        "best_of_n": {n: [float(r.mean()), float(c.mean())] for n, (r, c) in plain.items()},
        "rows": rows,
    }  # fmt: skip


def small_or_large(small: str, task: str, levels: tuple[str, ...], count: int) -> dict[str, Any]:
    """A small model with attempts for the FLOPs of k by tiny-1m, by bins of estimated ease."""
    large = "tiny-1m"
    questions = TASKS[task].generate(count, seed=3, levels=levels)
    check = TASKS[task].verifiable
    flops = {
        m: answered(SelfConsistency(1), m, questions, 0, False).spent.flops or 1.0
        for m in (small, large)
    }
    ratio = flops[large] / flops[small]
    # other draws than those judged: a bin of lucky draws would flatter the small model
    probe = answered(Probe(4), small, questions, 1, False)
    ease = np.array([a.p_right or 0.0 for a in probe.answers])
    order = np.argsort(np.argsort(-ease, kind="stable"))
    bins = order * 3 // len(questions)
    rows = []
    for k in (1, 2, 4):
        n = max(1, round(k * ratio))
        rule = BestOfN if check else WeightedVote
        right = {
            m: np.array([
                bool(c) for c in
                answered(rule(c_), m, questions, 0, check).correct
            ])
            for m, c_ in ((small, n), (large, k))
        }  # fmt: skip
        rows.append({
            "large_attempts": k, "small_attempts": n,
            "by_bin_easiest_first": [
                [float(right[small][bins == b].mean()), float(right[large][bins == b].mean())]
                for b in range(3)
            ],
        })  # fmt: skip
    return {"small": small, "task": task, "levels": levels, "questions": count,
            "flops_ratio": ratio, "rows": rows}  # fmt: skip


def main() -> None:
    """Measure, print, and leave the figures in `results/compute_optimal.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small, and writes nothing")
    quick = parser.parse_args().quick
    count = 20 if quick else 1000
    first = [
        headline("tiny-1m", count, count, greedy, 0.7, searches)
        for greedy, searches in ((True, True), (True, False), (False, False))
    ]
    for found in first:
        lines = [
            [f"{r['share']:.2f}", f"{r['accuracy']:.3f}",
             f"{r['behind_best_of_n']:+.3f} ± {r['standard_error']:.3f}",
             f"{r['shuffled_share']:.2f}", f"{r['shuffled_accuracy']:.3f}"]
            for r in found["rows"]
        ]  # fmt: skip
        heads = ["share of tokens", "accuracy", "behind", "shuffled: share", "accuracy"]
        title = (
            f"chain, {found['model']}, probe {'greedy' if found['greedy_probe'] else 'sampled'}, "
            f"{'with' if found['searches'] else 'without'} search; "
            f"best of 16: {found['best_of_n'][16]}"
        )
        Console().print(plain_table(title, heads, lines))
    second = [
        small_or_large("tiny-0.3m", task, levels, 20 if quick else 120)
        for task, levels in (
            ("chain", ("2", "4", "6", "8")),
            ("countdown", ("3", "4", "5")),
            ("sudoku4", ("6", "8", "10")),
        )
    ]
    for found in second:
        print(found)
    if not quick:
        data = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": cpu(),
            "command": " ".join(["python", *sys.argv]),
            "best_of_n": first,
            "small_or_large": second,
        }
        RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
