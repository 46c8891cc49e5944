"""Reserve + settle pairs per second: group commit beside one transaction for each operation.

Both run in turn, on the same disk, in the same run; the ratio is what counts. Every commit waits
for the disk (synchronous=FULL), so pairs per second say more about the disk than about us.

    python benchmarks/ledger.py [--seconds 2] [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from bursar.budget import Budget
from bursar.ledger import Ledger
from bursar.usage import Usage

RESULTS = Path(__file__).parent / "results" / "ledger.json"
CALL = Usage(tokens_in=500, tokens_out=200, usd=0.01)
SETUPS = {  # name -> (processes, threads in each)
    "1 thread": (1, 1),
    "16 threads": (1, 16),
    "8 processes": (8, 1),
    "8 processes x 8 threads": (8, 8),
}


def pairs(budget: Budget, seconds: float, threads: int) -> int:
    """How many pairs `threads` threads complete on `budget` in about `seconds`."""
    until = time.perf_counter() + seconds
    counts: list[int] = []

    def spend() -> None:
        done = 0
        while time.perf_counter() < until:
            budget.reserve(CALL, "call").settle(CALL)
            done += 1
        counts.append(done)

    running = [threading.Thread(target=spend) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return sum(counts)


def process(
    place: str, number: int, batch: int, seconds: float, threads: int, start: Any, done: Any
) -> None:
    """One of several processes on one ledger."""
    with Ledger(place, batch=batch) as ledger:
        budget = ledger.budget(f"team/key{number}")
        start.wait()
        done.put(pairs(budget, seconds, threads))


def rate(batch: int, processes: int, threads: int, seconds: float) -> float:
    """Pairs per second on a fresh SQLite ledger under one team limit."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bursar.ledger"])
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder) / "ledger.sqlite")
        with Ledger(place, batch=batch) as ledger:
            ledger.set_limits("team", "1e9 USD")
            if processes == 1:
                return pairs(ledger.budget("team/key"), seconds, threads) / seconds
        start, done = context.Barrier(processes), context.Queue()
        running = [
            context.Process(target=process, args=(place, i, batch, seconds, threads, start, done))
            for i in range(processes)
        ]
        for one in running:
            one.start()
        total = sum(done.get() for _ in running)
        for one in running:
            one.join()
        with Ledger(place) as ledger:
            ledger.verify()
        return float(total / seconds)


def many(seconds: float, size: int = 100) -> float:
    """Pairs per second of one caller that reserves and settles `size` at once."""
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "l.sqlite") as ledger:
        ledger.set_limits("team", "1e9 USD")
        budget = ledger.budget("team/key")
        done, until = 0, time.perf_counter() + seconds
        while time.perf_counter() < until:
            budget.settle_many(budget.reserve_many([CALL] * size), [CALL] * size)
            done += size
    return done / seconds


def syncs(seconds: float = 1.0) -> float:
    """How often a second the disk takes 4 KiB for good: no single caller can commit faster."""
    with tempfile.TemporaryFile() as file:
        done, until = 0, time.perf_counter() + seconds
        while time.perf_counter() < until:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            done += 1
    return done / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print only; keep no results file")
    asked = parser.parse_args()
    found: dict[str, Any] = {"unit": "reserve + settle pairs per second, median of rounds"}
    for name, (processes, threads) in SETUPS.items():
        rounds = [  # in turn, so that whatever else the machine does falls on both
            [rate(batch, processes, threads, asked.seconds) for batch in (256, 1)]
            for _ in range(asked.rounds)
        ]
        found[name] = {
            "group_commit": round(statistics.median(r[0] for r in rounds), 1),
            "one_each": round(statistics.median(r[1] for r in rounds), 1),
            "ratio": round(statistics.median(r[0] / r[1] for r in rounds), 2),
        }
    found["1 thread, 100 at once (reserve_many, settle_many)"] = round(many(asked.seconds), 1)
    found["fsyncs per second of this disk, beside whatever else it does"] = round(syncs(), 1)
    deep = Budget("1e12 tokens, 1e9 USD").child("key", "1e12 tokens").child("job")
    found["in memory, 3 scopes"] = round(pairs(deep, asked.seconds, 1) / asked.seconds, 1)
    if not asked.json:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
