"""Frontier: `auto` against every fixed strategy at equal budgets, on held-out mixed questions.

Run: python benchmarks/frontier.py [--quick]

Two figures. On chain + countdown + sudoku4, budgets over a 16-fold range: by how much `auto` leads
each strategy, paired question by question, with 95 % bootstrap intervals. On chain alone: of the
tokens with which uniform self-consistency reaches its best accuracy, the share that `auto` needs.
All strategies have the same draws (a memo of the built-in model) and the same checkers at hand.
"""

import argparse
import json
import math
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machine import cpu
from rich.console import Console
from rich.progress import Progress

from bursar.cli.screen import plain_table
from bursar.reason.compare import Row
from bursar.run import Job, run_compare

RESULTS = Path(__file__).parent / "results" / "frontier.json"
FIXED = ("single", "self_consistency", "best_of_n", "weighted_vote", "adaptive_consistency",
         "revision")  # fmt: skip
err = Console(stderr=True)


def compare(job: Job, strategies: tuple[str, ...], budgets: list[int], seeds: int) -> list[Row]:
    """All rows, with a progress bar."""
    with Progress(console=err, transient=True) as progress:
        task = progress.add_task(f"comparing on {', '.join(job.sources)}", total=1.0)
        _, table = run_compare(
            job,
            strategies,
            [f"{b} tokens" for b in budgets],
            range(seeds),
            on_progress=lambda done, total: progress.update(task, completed=done / total),
        )
    return table


def mixed(questions: int, seeds: int, budgets: list[int]) -> dict[str, Any]:
    """The frontier, and the worst lead of `auto` over the best fixed strategy of each budget."""
    job = Job(("mixed",), questions=questions)
    table = compare(job, ("auto", *FIXED), budgets, seeds)
    everything = [r for r in table if r.task == "all"]
    lines = []
    for budget in budgets:
        at = {r.strategy: r for r in everything if r.budget == budget}
        best = max((at[name] for name in FIXED), key=lambda r: r.accuracy)
        lines.append({
            "budget": budget,
            "auto": at["auto"].accuracy,
            "best_fixed": best.strategy,
            "best_fixed_accuracy": best.accuracy,
            "lead": best.lead,
            "lead_low": best.lead_low,
            "lead_high": best.lead_high,
        })  # fmt: skip
    return {"questions": questions, "seeds": seeds, "by_budget": lines,
            "rows": [asdict(r) for r in table]}  # fmt: skip


def chain(questions: int, seeds: int, budgets: list[int]) -> dict[str, Any]:
    """Tokens that `auto` needs for the best accuracy of uniform voting, against what that took."""
    job = Job(("chain",), questions=questions)
    table = compare(job, ("auto", "self_consistency"), budgets, seeds)
    voting = [r for r in table if r.strategy == "self_consistency"]
    best = max(voting, key=lambda r: (r.accuracy, -r.spent))
    noise = math.sqrt(best.accuracy * (1 - best.accuracy) / (questions * seeds))

    def share(goal: float) -> float | None:
        """Of the tokens of voting's best, those with which `auto` first reaches `goal`."""
        spent = [r.spent for r in table if r.strategy == "auto" and r.accuracy >= goal]
        return min(spent) / best.spent if spent else None

    return {
        "questions": questions,
        "seeds": seeds,
        "voting_best_accuracy": best.accuracy,
        "voting_tokens": best.spent,
        "standard_error": noise,
        "share": share(best.accuracy),
        "share_within_one_standard_error": share(best.accuracy - noise),
        "rows": [asdict(r) for r in table],
    }


def main() -> None:
    """Measure, print, and leave the figures in `results/frontier.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small, and writes nothing")
    quick = parser.parse_args().quick
    start = time.perf_counter()
    unit, seeds, questions = (3_000, 2, 60) if quick else (24_000, 5, 420)
    whole = mixed(questions, seeds, [unit * 2**i for i in range(5)])
    unit = 1_500 if quick else 8_000
    steps = [round(unit * 2 ** (i / 2)) for i in range(13)]
    alone = chain(30 if quick else 140, seeds, steps)
    lines = [
        [f"{x['budget']:,}", f"{x['auto']:.3f}",
         f"{x['best_fixed_accuracy']:.3f} {x['best_fixed']}",
         f"{x['lead']:+.3f} [{x['lead_low']:+.3f}, {x['lead_high']:+.3f}]"]
        for x in whole["by_budget"]
    ]  # fmt: skip
    heads = ["tokens", "auto", "best fixed strategy", "auto leads by"]
    Console().print(plain_table("chain + countdown + sudoku4", heads, lines))
    print(f"chain: voting's best {alone['voting_best_accuracy']:.3f} took "
          f"{alone['voting_tokens']:,.0f} tokens; share of them that auto needs: {alone['share']}, "
          f"within one standard error: {alone['share_within_one_standard_error']}")  # fmt: skip
    if not quick:
        data = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": cpu(),
            "command": " ".join(["python", *sys.argv]),
            "seconds": time.perf_counter() - start,
            "mixed": whole,
            "chain": alone,
        }
        RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
