"""Deciding: how much of a run's time `auto` thinks, beside the model's.

Run: python benchmarks/deciding.py [--quick]

On chain + countdown + sudoku4 with the built-in model, by tokens a question and by questions. Of
wall time: *models*, waiting for answers (with reserving and settling); *reading*, requests made and
answers read and checked; *deciding*, all else, which is beliefs, plans and picks.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machine import cpu
from rich.console import Console

from bursar.backends.base import Completion
from bursar.budget import Budget
from bursar.cli.screen import plain_table
from bursar.errors import BackendError
from bursar.reason import strategy
from bursar.reason.base import Arm, Round, Work
from bursar.reason.purse import Call, Purse
from bursar.reason.workbench import Workbench
from bursar.run import Job

RESULTS = Path(__file__).parent / "results" / "deciding.json"


@dataclass
class Clock:
    """Seconds spent inside of something."""

    seconds: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - start


@dataclass(slots=True)
class TimedPurse(Purse):
    """Its clock runs while models answer."""

    inside: Clock = field(default_factory=Clock)

    async def complete(self, calls: Sequence[Call]) -> list[Completion | BackendError | None]:
        with self.inside.running():
            return await Purse.complete(self, calls)


@dataclass(slots=True)
class TimedBench(Workbench):
    """Its clock runs while attempts are bought and read."""

    inside: Clock = field(default_factory=Clock)

    async def attempt(self, moves: Sequence[tuple[Work, Arm]]) -> int:
        with self.inside.running():
            return await Workbench.attempt(self, moves)


def measure(questions: int, each: int, seed: int) -> dict[str, Any]:
    """One run of `auto` with `each` tokens a question."""
    job = Job(("mixed",), questions=questions, seed=seed)
    asked, tasks = job.load(seed)
    purse = TimedPurse(Budget({"tokens": each * questions}), job.open_models())
    plain = job.bench(purse, tasks, seed)
    bench = TimedBench(**{f.name: getattr(plain, f.name) for f in fields(plain)})
    rounds: list[Round] = []
    start = time.perf_counter()
    answers = asyncio.run(strategy("auto").solve(asked, bench, rounds.append))
    wall = time.perf_counter() - start
    spent = purse.spent.tokens or 0.0
    deciding = wall - bench.inside.seconds
    return {
        "questions": questions,
        "tokens_a_question": each,
        "seed": seed,
        "wall_seconds": wall,
        "models_seconds": purse.inside.seconds,
        "reading_seconds": bench.inside.seconds - purse.inside.seconds,
        "deciding_seconds": deciding,
        "deciding_share": deciding / wall,
        "deciding_us_a_token": 1e6 * deciding / spent,
        "deciding_ms_a_round": 1e3 * deciding / len(rounds),
        "rounds": len(rounds),
        "attempts": sum(a.attempts for a in answers),
        "tokens": spent,
    }


def main() -> None:
    """Measure, print, and leave the figures in `results/deciding.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small, and writes nothing")
    quick = parser.parse_args().quick
    cells = [(30, 60), (30, 240)] if quick else [
        *((120, each) for each in (60, 240, 960)),
        *((count, 240) for count in (30, 480, 1_920)),
    ]  # fmt: skip
    measure(12, 60, 0)  # what is imported or compiled once is no thinking
    rows = [[measure(*cell, seed) for seed in range(1 if quick else 3)] for cell in cells]
    lines = []
    for runs in rows:

        def mid(key: str, runs: list[dict[str, Any]] = runs) -> float:
            return float(statistics.median(run[key] for run in runs))

        lines.append([
            f"{runs[0]['questions']:,}", f"{runs[0]['tokens_a_question']:,}",
            f"{mid('wall_seconds'):.2f}", f"{1e3 * mid('deciding_seconds'):.0f}",
            f"{100 * mid('deciding_share'):.1f} %", f"{mid('rounds'):.0f}",
            f"{mid('deciding_ms_a_round'):.2f}", f"{mid('deciding_us_a_token'):.1f}",
        ])  # fmt: skip
    heads = ["questions", "tokens each", "wall s", "deciding ms", "of wall", "rounds", "ms a round",
             "us a token"]  # fmt: skip
    Console().print(plain_table("auto, deciding (medians of the seeds)", heads, lines))
    if not quick:
        data = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": cpu(),
            "command": " ".join(["python", *sys.argv]),
            "runs": [run for runs in rows for run in runs],
        }
        RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
