"""Bag of tricks: six methods, one protocol, equal tokens, on held-out questions of each task.

Run: python benchmarks/bag_of_tricks.py [--quick]

For each task: every method's accuracy at the default temperature and at the one that was best on
other questions, and the ranking of the methods as more and more of the verifier's verdicts are
flipped. Solutions are read without the verdict that the built-in model ends them with, so that what
a verifier adds can be seen; the exact checkers only grade. On Countdown the verifier is the
process-reward head, elsewhere the likelihood of the text.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machine import cpu

from bursar.backends import open_backend
from bursar.budget import Budget
from bursar.reason.compose import TRICKS, BagOfTricks
from bursar.reason.counted import Counted
from bursar.reason.memo import Memo
from bursar.reason.models import features
from bursar.reason.purse import Purse
from bursar.reason.verify import Likelihood, ProcessReward
from bursar.reason.workbench import Workbench
from bursar.workload.tasks import TASKS
from bursar.workload.tasks.base import Question, Task
from bursar.workload.tasks.verdicts import without_verdict

RESULTS = Path(__file__).parent / "results" / "bag_of_tricks.json"
MODEL = "tiny-0.3m"
DEFAULT = 0.7
TEMPERATURES = (0.2, 0.4, 0.55, DEFAULT, 1.0)
FLIPS = (0.0, 0.1, 0.2, 0.3, 0.5)
SET_UP = {
    "chain": (("5", "6", "7"), Likelihood(), 300),
    "countdown": (("3", "4"), ProcessReward(), 200),
    "sudoku4": (("8", "10"), Likelihood(), 200),
}
"""Task -> levels, verifier, tokens a question."""


@dataclass(frozen=True)
class Unjudged:
    """A task whose solutions are read without their closing verdict."""

    task: Task

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def extract(self, question: Question, text: str) -> str | None:
        return self.task.extract(question, without_verdict(text))


async def one_task(bag: BagOfTricks, ask: Callable[[int], Sequence[Question]]) -> dict[str, Any]:
    """Tuned against default, and rankings; tuning questions have other seeds."""
    methods = {}
    for trick in TRICKS:
        tuned = await bag.tuned(trick, lambda seed: ask(seed + 50), TEMPERATURES)
        methods[trick] = {
            "tuned_temperature": tuned,
            "tuned": await bag.accuracy(trick, ask, temperature=tuned),
            "default": await bag.accuracy(trick, ask, temperature=DEFAULT),
        }
        print(f"  {trick:22s}", methods[trick], flush=True)
    rankings = {}
    for flips in FLIPS:
        rankings[str(flips)] = await bag.ranking(ask, flips)
        print(f"  {flips:.0%} flipped:", rankings[str(flips)], flush=True)
    return {"methods": methods, "rankings": rankings}


def main() -> None:
    """Measure, print, and leave the figures in `results/bag_of_tricks.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small, and writes nothing")
    quick = parser.parse_args().quick
    count, seeds = (12, (0, 1)) if quick else (60, (0, 1, 2, 3, 4))
    start, model, known = time.perf_counter(), Memo(open_backend(MODEL)), features(MODEL)
    out = {}
    for task, (levels, verifier, tokens) in SET_UP.items():
        print(task, flush=True)

        def bench(temperature: float, seed: int, task: str = task, each: int = tokens) -> Workbench:
            return Workbench(
                Purse(Budget({"tokens": each * count}), {MODEL: Counted(model)}),
                {task: Unjudged(TASKS[task])},  # type: ignore[dict-item]
                seed=seed,
                check=False,
                scorers={MODEL: known.scorer} if known.scorer else {},
                temperature=temperature,
                stop={MODEL: known.stop},
                revise={MODEL: known.revise} if known.revise else {},
                judge={MODEL: known.judge} if known.judge else {},
            )

        def ask(seed: int, task: str = task, levels: Sequence[str] = levels) -> Sequence[Question]:
            return TASKS[task].generate(count, seed=seed, levels=levels)

        out[task] = asyncio.run(one_task(BagOfTricks(bench, seeds, verifier), ask))
        out[task] |= {"levels": levels, "tokens_per_question": tokens}
    if not quick:
        data = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": cpu(),
            "command": " ".join(["python", *sys.argv]),
            "seconds": time.perf_counter() - start,
            "model": MODEL,
            "questions": count,
            "seeds": len(seeds),
            "tasks": out,
        }
        RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
