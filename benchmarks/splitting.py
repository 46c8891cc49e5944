"""Splitting: SCALE and Plan-and-Budget against equal attempts for all parts, on long chains.

Run: python benchmarks/splitting.py [--quick]

Chains of 16 operations, tiny-0.3m, the same splitting and the same draws for all. Tokens are input
and output a question; E3 is accuracy squared over them. `equal_accuracy` is what equal attempts
reach at the row's tokens, read between their rows.
"""

import argparse
import asyncio
import json
import math
import random
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from machine import cpu

from bursar.backends import open_backend
from bursar.budget import Budget
from bursar.reason.memo import Memo
from bursar.reason.purse import Purse
from bursar.reason.solve import solve
from bursar.reason.split import DECAYS, Effort, PlanAndBudget, Scale, SplitAndSolve
from bursar.reason.workbench import Workbench
from bursar.value import e3
from bursar.workload.tasks import TASKS, chain
from bursar.workload.tasks.base import Question

RESULTS = Path(__file__).parent / "results" / "splitting.json"
MODEL = "tiny-0.3m"
UNIFORM: dict[str, Effort] = {
    f"equal {k}": Scale(rater="all_hard", hard=k) for k in (1, 3, 4, 5, 6, 8)
}
CLEVER: dict[str, Effort] = {
    "scale 5": Scale(hard=5),
    "scale 8": Scale(hard=8),
    "scale 5 by chance": Scale(rater="by_chance", threshold=0.4, hard=5),
    **{f"plan {t}": PlanAndBudget(t) for t in (500, 740, 900)},
    **{f"plan 740 {d}": PlanAndBudget(740, decay=d) for d in DECAYS},
}


def questions(count: int, seed: int) -> list[Question]:
    """Random chains of 16 operations."""
    rng = random.Random(seed)
    drawn = [chain.draw_expression(rng, 16) for _ in range(count)]
    return [
        Question(f"{seed}-{i}", "chain", f"chain {''.join(e)}\n", str(chain.value(e)))
        for i, e in enumerate(drawn)
    ]


def main() -> None:
    """Measure, print, and leave the figures in `results/splitting.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small, and writes nothing")
    quick = parser.parse_args().quick
    count, seeds = (20, 1) if quick else (150, 4)
    model = Memo(open_backend(MODEL))
    rows = []
    for name, effort in (UNIFORM | CLEVER).items():
        right, tokens = 0.0, 0.0
        for seed in range(seeds):
            purse = Purse(Budget(), {MODEL: model})
            bench = Workbench(purse, TASKS, seed=seed, greedy=frozenset({MODEL}))
            asked = questions(count, seed)
            solved = asyncio.run(solve(SplitAndSolve(name, effort), asked, bench))
            right += (solved.accuracy or 0.0) / seeds
            tokens += (solved.spent.tokens or 0.0) / count / seeds
        rows.append({"effort": name, "accuracy": right, "tokens": tokens, "e3": e3(right, tokens)})
        print(rows[-1], flush=True)
    equal = rows[: len(UNIFORM)]
    for row in rows[len(UNIFORM) :]:
        row["equal_accuracy"] = float(
            np.interp(row["tokens"], [r["tokens"] for r in equal], [r["accuracy"] for r in equal])
        )
    if not quick:
        asked_in_all = count * seeds
        data = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": cpu(),
            "command": " ".join(["python", *sys.argv]),
            "model": MODEL,
            "questions": asked_in_all,
            "standard_error_at_0.9": math.sqrt(0.09 / asked_in_all),
            "rows": rows,
        }
        RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
