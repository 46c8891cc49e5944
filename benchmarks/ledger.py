"""Reserve + settle pairs per second: group commit beside one transaction for each operation.

Both run in turn, on the same disk, in the same run; the ratio is what counts. Every commit waits
for the disk (synchronous=FULL), so pairs per second say more about the disk than about us. On an
event loop, CPU per pair is what counts: how much of a request's cost is its booking.

    python benchmarks/ledger.py [--seconds 2] [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from machine import cpu

from bursar.budget import Budget
from bursar.ledger import Ledger
from bursar.usage import Usage

RESULTS = Path(__file__).parent / "results" / "ledger.json"
CALL = Usage(tokens_in=500, tokens_out=200, usd=0.01)
Sync = Literal["commit", "behind"]
SYNCS: tuple[Sync, ...] = ("commit", "behind")
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


async def _book(ledger: Ledger, accounts: list[str], seconds: float) -> list[float]:
    """Each account's caller books a request at a time; how long each pair took."""
    took: list[float] = []
    until = time.perf_counter() + seconds

    async def spend(account: str) -> None:
        while (began := time.perf_counter()) < until:
            hold = await ledger.areserve(account, CALL, "call", predicted=CALL)
            await ledger.asettle({hold: CALL}, durable=True)
            took.append(time.perf_counter() - began)

    await asyncio.gather(*map(spend, accounts))
    return took


def _limited(ledger: Ledger, callers: int) -> list[str]:
    """Accounts four deep, one for each caller, with two windows each."""
    accounts = [f"org/team{i % 2}/key{i % 8}/user{i}" for i in range(callers)]
    for account in accounts:
        parts = account.split("/")
        for depth in range(1, 5):
            path = "/".join(parts[:depth])
            ledger.set_limits(path, "1e6 USD per day, 1e12 tokens per minute")
    return accounts


def on_a_loop(callers: int, sync: Sync, seconds: float) -> dict[str, float]:
    """Callers on one event loop, each a request at a time, as a gateway books them.

    CPU is of the whole process, user and system; the loop's own part is in it. A caller goes on
    when its bill is on disk.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        Ledger(Path(folder) / "ledger.sqlite", sync=sync) as ledger,
    ):
        accounts = _limited(ledger, callers)
        before = _cpu_s()
        took = asyncio.run(_book(ledger, accounts, seconds))
        cpu = _cpu_s() - before
        ledger.verify()
    return {
        "pairs_per_second": round(len(took) / seconds, 1),
        "cpu_ms_per_pair": round(1e3 * cpu / len(took), 3),
        **_latency(took),
    }


def worker(place: str, sync: Sync, callers: int, seconds: float, start: Any, done: Any) -> None:
    """One of several workers of a gateway."""
    with Ledger(place, sync=sync, worker=str(os.getpid())) as ledger:
        accounts = [f"org/team{i % 2}/key{i % 8}/user{i}" for i in range(callers)]
        start.wait()
        done.put(asyncio.run(_book(ledger, accounts, seconds)))


def workers(processes: int, callers: int, sync: Sync, seconds: float) -> dict[str, float]:
    """Processes on one SQLite file, each with callers on an event loop."""
    context = multiprocessing.get_context("forkserver")
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder) / "ledger.sqlite")
        with Ledger(place) as ledger:
            _limited(ledger, callers)
        start, done = context.Barrier(processes), context.Queue()
        running = [
            context.Process(target=worker, args=(place, sync, callers, seconds, start, done))
            for _ in range(processes)
        ]
        for one in running:
            one.start()
        took = [pair for _ in running for pair in done.get()]
        for one in running:
            one.join()
        with Ledger(place) as ledger:
            ledger.verify()
    return {"pairs_per_second": round(len(took) / seconds, 1), **_latency(took)}


def _latency(took: list[float]) -> dict[str, float]:
    return {
        "p50_ms": round(1e3 * statistics.median(took), 2),
        "p99_ms": round(1e3 * statistics.quantiles(took, n=100)[98], 2),
        "max_ms": round(1e3 * max(took), 2),
    }


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


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


def _median(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print only; keep no results file")
    asked = parser.parse_args()
    found: dict[str, Any] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": cpu(),
        "command": f"python benchmarks/ledger.py --seconds {asked.seconds} --rounds {asked.rounds}",
        "unit": "reserve + settle pairs per second, median of rounds",
    }
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
    found["on an event loop, 4 accounts deep, 2 windows each"] = {
        f"{callers} callers, sync={sync}": _median(
            [on_a_loop(callers, sync, asked.seconds) for _ in range(asked.rounds)]
        )
        for callers in (1, 32)
        for sync in SYNCS
    }
    found["4 workers of 8 callers on one file"] = {
        f"sync={sync}": _median([workers(4, 8, sync, asked.seconds) for _ in range(asked.rounds)])
        for sync in SYNCS
    }
    deep = Budget("1e12 tokens, 1e9 USD").child("key", "1e12 tokens").child("job")
    found["in memory, 3 scopes"] = round(pairs(deep, asked.seconds, 1) / asked.seconds, 1)
    if not asked.json:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
