"""Game of 24, recorded GPT-4: two prompts of different price and success, the checker at hand.

Run: python benchmarks/game24.py --data FILE   (game24_gpt4_100x100.jsonl, see docs)

At six budgets: how many of 100 problems `auto` solves, which may use both prompts and learns
about them while it spends; each prompt alone, sampled round robin until solved; a fixed number of
samples of each prompt at every problem; and an oracle that knows every problem's success rates.
"""

import argparse
import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from machine import cpu
from rich.console import Console
from rich.progress import Progress

from bursar.backends.recordings import Recording, read_game24
from bursar.budget import Budget
from bursar.cli.screen import plain_table
from bursar.reason import strategy
from bursar.reason.purse import Purse
from bursar.reason.workbench import Workbench

RESULTS = Path(__file__).parent / "results" / "game24.json"
DATA = Path(__file__).parents[2] / "shared" / "data" / "reason" / "game24_gpt4_100x100.jsonl"
BUDGETS = tuple(float(b) for b in np.geomspace(0.6, 26.0, 6))
ARMS = ("cot100", "io100")


def solved(record: Recording, name: str, arms: tuple[str, ...], usd: float, seed: int) -> int:
    """Problems solved by a strategy under a limit."""
    purse = Purse(Budget({"usd": usd}), {arm: record.backends[arm] for arm in arms})
    bench = Workbench(purse, {"game24": record.task}, seed=seed)
    answers = asyncio.run(strategy(name).solve(record.questions, bench))
    spent = purse.spent.usd
    assert spent is not None
    assert spent <= usd + 1e-9
    return sum(a.verified for a in answers)


def rates(record: Recording) -> tuple[np.ndarray, np.ndarray]:
    """(problems, arms) share of right samples and dollars per sample, over the whole record."""
    right = np.zeros((len(record.questions), len(ARMS)))
    usd = np.zeros_like(right)
    for j, arm in enumerate(ARMS):
        for i, question in enumerate(record.questions):
            samples = record.backends[arm].samples(question.id)
            right[i, j] = np.mean([bool(s.right) for s in samples])
            usd[i, j] = np.mean([s.usd or 0.0 for s in samples])
    return right, usd


def fixed_dollars(right: np.ndarray, usd: np.ndarray, goal: float) -> float | None:
    """Least dollars with which n samples of one prompt at every problem solve `goal` of them."""
    best = None
    for j in range(len(ARMS)):
        hits = np.round(right[:, j] * 100)
        for n in range(1, 101):
            missed = np.prod([(100 - hits - i) / (100 - i) for i in range(n)], axis=0)
            if np.sum(1 - np.maximum(missed, 0)) >= goal:
                cost = float(n * usd[:, j].sum())
                best = cost if best is None else min(best, cost)
                break
    return best


def oracle(right: np.ndarray, usd: np.ndarray, budget: float) -> float:
    """Expected problems solved by who knows all rates: problems by expected dollars to solve."""
    with np.errstate(divide="ignore"):
        cost = np.sort(np.min(np.where(right > 0, usd / right, np.inf), axis=1))
    within = np.cumsum(cost[np.isfinite(cost)])
    return float(np.sum(within <= budget))


def main() -> None:
    """Measure, print, and leave the figures in `results/game24.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="two seeds, and writes nothing")
    args = parser.parse_args()
    if not args.data.is_file():
        print(f"skipped: no recording at {args.data}; name it with --data")
        return
    record = read_game24(args.data)
    right, usd = rates(record)
    seeds = range(2 if args.quick else args.seeds)
    rows: list[dict[str, Any]] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Game of 24", total=len(BUDGETS) * len(seeds))
        for budget in BUDGETS:
            counts: dict[str, list[int]] = {"auto": [], **{arm: [] for arm in ARMS}}
            for seed in seeds:
                counts["auto"].append(solved(record, "auto", ARMS, budget, seed))
                for arm in ARMS:
                    counts[arm].append(solved(record, "best_of_n", (arm,), budget, seed))
                progress.advance(task)
            means = {name: float(np.mean(x)) for name, x in counts.items()}
            best = max(ARMS, key=means.__getitem__)
            lead = np.array(counts["auto"]) - np.array(counts[best])
            dollars = fixed_dollars(right, usd, means["auto"])
            rows.append({
                "usd": budget, **means, "best_prompt": best, "lead": float(lead.mean()),
                "lead_standard_error": float(lead.std(ddof=1) / np.sqrt(len(lead))),
                "fixed_dollars_for_same": dollars,
                "share_of_fixed": None if dollars is None else budget / dollars,
                "oracle": oracle(right, usd, budget),
            })  # fmt: skip
    heads = ["USD", "auto", *ARMS, "lead", "of a fixed number's dollars", "oracle"]
    lines = [
        [f"{r['usd']:.2f}", f"{r['auto']:.1f}", *(f"{r[a]:.1f}" for a in ARMS),
         f"{r['lead']:+.1f} ± {r['lead_standard_error']:.1f}",
         "never reached" if r["share_of_fixed"] is None else f"{r['share_of_fixed']:.2f}",
         f"{r['oracle']:.0f}"]
        for r in rows
    ]  # fmt: skip
    Console().print(plain_table("problems solved of 100", heads, lines))
    if not args.quick:
        data = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": cpu(),
            "command": " ".join(["python", *sys.argv]),
            "seeds": len(seeds),
            "rows": rows,
        }
        RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
