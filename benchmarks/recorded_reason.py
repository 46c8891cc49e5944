"""Voting on recorded real models at equal tokens: plain, weighted by reward, stopped early, best.

Run: python benchmarks/recorded_reason.py [--data FOLDER]

`qwen25_math_100x8.jsonl`: Qwen2.5 on 100 MATH problems, 8 samples each with the scores of a reward
model. `gsm8k_model_solutions.jsonl`: GSM8K's 1,319 test questions, the solutions of four systems
(6B and 175B, with and without a verifier) as a panel of four. Replayed without replacement, in
orders drawn by the seeds. Tokens are estimated from characters.
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

from bursar.backends.recordings import Recording, read_gsm8k_solutions, read_qwen25_math
from bursar.budget import Budget
from bursar.cli.screen import plain_table
from bursar.reason import RoundRobin
from bursar.reason.adaptive_consistency import AdaptiveConsistency
from bursar.reason.best_of_n import BestOfN
from bursar.reason.purse import Purse
from bursar.reason.rounds import Rule
from bursar.reason.self_consistency import SelfConsistency
from bursar.reason.solve import solve
from bursar.reason.verifiers import RewardScorer
from bursar.reason.weighted_vote import WeightedVote
from bursar.reason.workbench import Workbench

RESULTS = Path(__file__).parent / "results" / "recorded_reason.json"
DATA = Path(__file__).parents[2] / "shared" / "data" / "reason"
RULES: dict[str, Rule] = {
    "vote": SelfConsistency(),
    "weighted_vote": WeightedVote(),
    "best_of_n": BestOfN(),
    "adaptive_consistency": AdaptiveConsistency(confidence=0.9),
}


def measured(record: Recording, rule: Rule, tokens: float, seed: int) -> tuple[float, float]:
    """Accuracy and tokens spent under a limit."""
    purse = Purse(Budget({"tokens": tokens}), record.backends)
    (arm,) = record.backends
    bench = Workbench(purse, {record.task.name: record.task}, seed=seed,
                      scorers={arm: RewardScorer()})  # fmt: skip
    done = asyncio.run(solve(RoundRobin("rule", rule), record.questions, bench))
    return done.accuracy or 0.0, purse.spent.tokens or 0.0


def curves(record: Recording, samples: list[float], seeds: int) -> dict[str, Any]:
    """Every rule at the tokens of so many samples per question, and without a limit."""
    (arm,) = record.backends.values()
    each = float(np.mean([
        (s.tokens_in or 0) + (s.tokens_out or 0)
        for q in record.questions for s in arm.samples(q.id)
    ]))  # fmt: skip
    rows = []
    for share in samples:
        tokens = share * each * len(record.questions)
        for name, rule in RULES.items():
            found = np.array([measured(record, rule, tokens, s) for s in range(seeds)])
            rows.append({
                "samples": share, "strategy": name, "accuracy": float(found[:, 0].mean()),
                "deviation": float(found[:, 0].std()),
                "samples_spent": float(found[:, 1].mean()) / each / len(record.questions),
            })  # fmt: skip
    return {"questions": len(record.questions), "seeds": seeds, "rows": rows}


def main() -> None:
    """Measure, print, and leave the figures in `results/recorded_reason.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--quick", action="store_true", help="two seeds, and writes nothing")
    args = parser.parse_args()
    if not (args.data / "qwen25_math_100x8.jsonl").is_file():
        print(f"skipped: no recordings at {args.data}; name them with --data")
        return
    math = read_qwen25_math(args.data / "qwen25_math_100x8.jsonl")
    gsm8k = read_gsm8k_solutions(args.data / "gsm8k_model_solutions.jsonl")
    found = {
        "qwen25_math": curves(math, [1.1, 2.2, 3.3, 4.4, 6.6, 9.0], 2 if args.quick else 10),
        "gsm8k_panel": curves(gsm8k, [1.1, 2.2, 3.3, 4.4], 2 if args.quick else 3),
    }
    for title, table in found.items():
        lines = [
            [f"{r['samples']:.1f}", r["strategy"], f"{r['samples_spent']:.2f}",
             f"{r['accuracy']:.3f} ± {r['deviation']:.3f}"]
            for r in table["rows"]
        ]  # fmt: skip
        heads = ["limit, samples", "strategy", "spent, samples", "accuracy"]
        Console().print(plain_table(title, heads, lines))
    if not args.quick:
        data = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": cpu(),
            "command": " ".join(["python", *sys.argv]),
            **found,
        }
        RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
