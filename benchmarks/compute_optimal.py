"""Compute-optimal test-time scaling on the built-in models: a strategy per bin of difficulty.

Run: python benchmarks/compute_optimal.py [--quick]

First: of best-of-N's best accuracy (largest N) on chains, how much a table of strategies per bin
of estimated difficulty reaches with which share of its tokens; probes are paid for. The table is
fitted on other questions. Beside it the same with the difficulties shuffled. Then: a small model
with as many attempts as the FLOPs of one attempt by a larger one buy, against that one, by bins
of estimated difficulty.
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
from rich.console import Console

from bursar.backends import open_backend
from bursar.backends.base import Backend
from bursar.budget import Budget
from bursar.cli.screen import plain_table
from bursar.reason.best_of_n import BestOfN
from bursar.reason.memo import Memo
from bursar.reason.models import features
from bursar.reason.purse import Purse
from bursar.reason.rounds import RoundRobin, Rule
from bursar.reason.route.compute_optimal import ComputeOptimal, Probe
from bursar.reason.self_consistency import SelfConsistency
from bursar.reason.solve import Solution, solve
from bursar.reason.weighted_vote import WeightedVote
from bursar.reason.workbench import Workbench
from bursar.value.outcomes import Outcomes
from bursar.workload.tasks import TASKS
from bursar.workload.tasks.base import Question

RESULTS = Path(__file__).parent / "results" / "compute_optimal.json"
SHARES = (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
PROBES = (1, 2)


@cache
def _memo(model: str) -> Backend:
    return Memo(open_backend(model))


def answered(
    rule: Rule, model: str, memo: Backend, questions: Sequence[Question], seed: int, check: bool
) -> Solution:
    """All questions under one rule, without a limit."""
    known = features(model)
    bench = Workbench(
        Purse(Budget(None), {model: memo}), TASKS, seed=seed, check=check,
        scorers={model: known.scorer} if known.scorer else {}, greedy=frozenset({model}),
        stop={model: known.stop}, revise={model: known.revise} if known.revise else {},
    )  # fmt: skip
    return asyncio.run(solve(RoundRobin("rule", rule), questions, bench))


def outcomes(
    whole: ComputeOptimal, model: str, memo: Backend, questions: Sequence[Question], seed: int
) -> Outcomes:
    """What each rule gives after the probes, in tokens; the sign is the estimated ease."""
    rules = whole.rules
    runs = [
        answered(replace(whole, choice=(name,)), model, memo, questions, seed, False)
        for name in rules
    ]
    probe = answered(Probe(whole.probes), model, memo, questions, seed, False)
    ease = np.array([a.p_right or 0.0 for a in probe.answers])
    return Outcomes(
        tuple(rules), tuple(q.prompt for q in questions),
        np.array([[bool(c) for c in r.correct] for r in runs], dtype=float).T,
        np.array([[a.usage.tokens or 0.0 for a in r.answers] for r in runs]).T,
        np.tile(ease[:, None], (1, len(rules))),
    )  # fmt: skip


def headline(
    model: str, levels: tuple[str, ...], count: int, most: int, probes: int
) -> dict[str, Any]:
    """Accuracy of the per-bin table over shares of best-of-N's tokens."""
    counts = [n for n in (1, 2, 3, 4, 6, 8, 12, 16) if probes <= n <= most]
    rules: dict[str, Rule] = {f"best_of_{n}": BestOfN(n) for n in counts}
    rules |= {f"weighted_vote_{n}": WeightedVote(n) for n in counts}
    memo = _memo(model)
    fit_on = TASKS["chain"].generate(count, seed=1, levels=levels)
    judged = TASKS["chain"].generate(2 * count, seed=2, levels=levels)[-count:]
    known = {q.prompt for q in fit_on}
    judged = [q for q in judged if q.prompt not in known]
    whole = ComputeOptimal(rules, probes)
    seen = outcomes(whole, model, memo, fit_on, 0)
    held_out = outcomes(whole, model, memo, judged, 0)
    best = list(rules).index(f"best_of_{most}")
    tokens = float(held_out.cost[:, best].mean())
    rng = np.random.default_rng(0)
    mixed = replace(seen, sign=seen.sign[rng.permutation(len(seen.prompts))])
    rows = []
    for share in SHARES:
        budget = share * float(seen.cost[:, best].mean())
        made = {
            name: whole.fit(past, budget) for name, past in (("table", seen), ("shuffled", mixed))
        }
        runs = {n: answered(c, model, memo, judged, 0, False) for n, c in made.items()}
        right = np.array([bool(c) for c in runs["table"].correct], dtype=float)
        gap = right - held_out.right[:, best]
        rows.append({
            "asked_share": share,
            "accuracy": runs["table"].accuracy, "share": (runs["table"].spent.tokens or 0)
            / len(judged) / tokens,
            "shuffled_accuracy": runs["shuffled"].accuracy,
            "shuffled_share": (runs["shuffled"].spent.tokens or 0) / len(judged) / tokens,
            "behind_best_of_n": float(-gap.mean()),
            "standard_error": float(gap.std(ddof=1) / np.sqrt(len(gap))),
            "choice": made["table"].choice,
        })  # fmt: skip
    return {
        "model": model, "probes": probes, "levels": levels,
        "fitted_on": len(fit_on), "judged_on": len(judged),
        "best_of_n": {n: [float(held_out.right[:, i].mean()), float(held_out.cost[:, i].mean())]
                      for i, n in enumerate(rules)},
        "rows": rows,
    }  # fmt: skip


def small_or_large(small: str, task: str, levels: tuple[str, ...], count: int) -> dict[str, Any]:
    """A small model with attempts for the FLOPs of k by tiny-1m, by bins of estimated ease."""
    large = "tiny-1m"
    memo = {m: _memo(m) for m in (small, large)}
    questions = TASKS[task].generate(count, seed=3, levels=levels)
    check = TASKS[task].verifiable
    flops = {
        m: answered(SelfConsistency(1), m, memo[m], questions, 0, False).spent.flops or 1.0
        for m in (small, large)
    }
    ratio = flops[large] / flops[small]
    # other draws than those judged: a bin of lucky draws would flatter the small model
    probe = answered(Probe(4), small, memo[small], questions, 1, False)
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
                answered(rule(c_), m, memo[m], questions, 0, check).correct
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
    count, most = (40, 8) if quick else (240, 16)
    first = [headline("tiny-1m", ("2", "4", "6", "8"), count, most, probes) for probes in PROBES]
    for found in first:
        lines = [
            [f"{r['share']:.2f}", f"{r['accuracy']:.3f}",
             f"{r['behind_best_of_n']:+.3f} ± {r['standard_error']:.3f}",
             f"{r['shuffled_share']:.2f}", f"{r['shuffled_accuracy']:.3f}"]
            for r in found["rows"]
        ]  # fmt: skip
        heads = ["share of tokens", "accuracy", "behind", "shuffled: share", "accuracy"]
        best = found["best_of_n"][f"best_of_{most}"]
        title = f"chain, {found['model']}, probes: {found['probes']}, best of {most}: {best}"
        Console().print(plain_table(title, heads, lines))
    second = [
        small_or_large("tiny-0.3m", task, levels, count // 2)
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
