"""Never over: processes that share a limit are killed at random; nothing is lost, nothing passes.

Each worker reserves an upper bound, "spends" (a line in its own log, as an upstream would count
it), then settles. The parent kills workers with SIGKILL at random moments, starts them again, and
reads spent + held against each limit all the while. At the end the holds of the dead expire, and
the ledger is compared with what the upstream counted, hold by hold.

    python benchmarks/never_over.py [--processes 8] [--holds 500] [--kills 40] [--seed 0] [--json]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import signal
import tempfile
import threading
import time
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from bursar.errors import BudgetExceeded
from bursar.ledger import Ledger
from bursar.usage import Usage

RESULTS = Path(__file__).parent / "results" / "never_over.json"
TTL_S = 3600.0
UPSTREAM_S = 0.004  # the longest answer
CENTS_A_HOLD = 3  # the largest bound; a call uses 1 cent in the mean
LIMIT_CENTS_A_HOLD = 0.7  # so that about a third of the calls must be refused


def worker(place: str, log: str, account: str, holds: int, seed: int) -> None:
    """Spend `holds` times from `account`, one log line each: hold id (or "refused"), cents used."""
    rng = random.Random(seed)
    with Ledger(place, ttl_s=TTL_S) as ledger, open(log, "a", buffering=1) as upstream:
        for _ in range(holds):
            bound = rng.randint(1, CENTS_A_HOLD)
            try:
                (hold,) = ledger.reserve(account, [Usage(usd=bound / 100)], "call")
            except BudgetExceeded:
                upstream.write("refused 0\n")
                continue
            used = rng.randint(0, bound)
            upstream.write(f"{hold} {used}\n")  # from here on it is spent, whatever becomes of us
            time.sleep(rng.random() * UPSTREAM_S)
            ledger.settle({hold: Usage(usd=used / 100)})


def crash(
    place: str, folder: Path, processes: int, holds: int, kills: int, seed: int
) -> dict[str, Any]:
    """Run, kill, restart, recover, compare; what was found."""
    rng = random.Random(seed)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bursar.ledger"])
    logs = [folder / f"upstream{i}.log" for i in range(processes)]
    limit = round(processes * holds * LIMIT_CENTS_A_HOLD) / 100
    with Ledger(place, ttl_s=TTL_S) as ledger:
        ledger.set_limits("team", {"usd": limit})
        for i in range(processes):
            ledger.set_limits(f"team/key{i}", {"usd": limit / processes * 1.2})

    doomed: dict[int, int] = {}  # worker -> the call after which it is killed

    def start(i: int) -> BaseProcess:
        done = count(logs[i])
        if killed < kills:
            doomed[i] = done + rng.randint(1, max(2, 3 * processes * holds // (2 * kills)))
        args = (place, str(logs[i]), f"team/key{i}", holds - done, rng.randrange(2**32))
        process = context.Process(target=worker, args=args)
        process.start()
        return process

    began = time.perf_counter()
    killed, samples, passed = 0, 0, 0
    running = {i: start(i) for i in range(processes)}
    with Ledger(place, ttl_s=TTL_S) as ledger:
        while running:
            passed += over(ledger)
            samples += 1
            for i, process in list(running.items()):
                if killed < kills and i in doomed and count(logs[i]) >= doomed[i]:
                    time.sleep(rng.random() * 0.005)  # anywhere between two calls
                    process.kill()
                    process.join()
                    del doomed[i]
                    killed += process.exitcode == -signal.SIGKILL
                if not process.is_alive():
                    process.join()
                    del running[i]
                    if count(logs[i]) < holds:
                        running[i] = start(i)
            time.sleep(0.002)
    seconds = time.perf_counter() - began
    found = compare(place, logs)
    return {
        "processes": processes,
        "holds": processes * holds,
        "killed": killed,
        "limit_usd": limit,
        "samples": samples,
        "samples_over_a_limit": passed,
        **found,
        "seconds": round(seconds, 2),
    }


def count(log: Path) -> int:
    return log.read_text().count("\n") if log.exists() else 0


def over(ledger: Ledger) -> int:
    """How many accounts are beyond a limit in this instant."""
    return sum(
        (account.spent.usd or 0.0) + (account.held.usd or 0.0) > limit + 1e-9
        for account in ledger.accounts()
        for limit in account.limits.values()
    )


def compare(place: str, logs: Sequence[Path]) -> dict[str, Any]:
    """The ledger, after the holds of the dead expired, beside what the upstream counted."""
    calls = [line.split() for log in logs for line in log.read_text().splitlines()]
    used = {int(hold): int(cents) for hold, cents in calls if hold != "refused"}
    with Ledger(place, clock=lambda: time.time() + 2 * TTL_S) as ledger:
        open_before = len(ledger.open_holds())
        recovered = ledger.recover()
        kinds = {entry.hold: entry.kind for entry in ledger.entries() if entry.measured is not None}
        charged = {
            entry.hold: round((entry.usage.usd or 0.0) * 100)
            for entry in ledger.entries()
            if entry.measured is not None
        }
        entries = ledger.verify().entries
        spent = ledger.totals("team").spent.usd or 0.0
        held = ledger.totals("team").held.usd
    return {
        "served": len(used),
        "refused": sum(hold == "refused" for hold, _ in calls),
        "open_after_crashes": open_before,
        "recovered_at_their_bound": recovered,
        "lost_spends": sum(charged.get(hold, -1) < cents for hold, cents in used.items()),
        "settled_but_not_exact": sum(
            charged[hold] != used.get(hold or 0) for hold, kind in kinds.items() if kind == "spend"
        ),
        "upstream_usd": sum(used.values()) / 100,
        "spent_usd": spent,
        "held_usd_after": held,
        "entries_verified": entries,
    }


def fifty_at_once(place: str) -> dict[str, Any]:
    """Limit 0.10 USD, 0.018 a call, fifty at once, upstream of 0.5 s: five are served."""
    call, served, refusals = Usage(usd=0.018), [], []
    with Ledger(place) as ledger:
        budget = ledger.budget("key", "0.10 USD")

        def spend() -> None:
            try:
                hold = budget.reserve(call)
            except BudgetExceeded as error:
                refusals.append(str(error))
                return
            time.sleep(0.5)
            hold.settle(call)
            served.append(1)

        threads = [threading.Thread(target=spend) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        spent = budget.spent.usd
    return {
        "served": len(served),
        "refused": len(refusals),
        "spent_usd": spent,
        "limit_usd": 0.10,
        "refusal": refusals[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--holds", type=int, default=500, help="for each process")
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--place", help="a database URL instead of a fresh SQLite file")
    parser.add_argument("--json", action="store_true", help="print only; keep no results file")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = asked.place or str(Path(folder) / "ledger.sqlite")
        found = {
            "crash": crash(
                place, Path(folder), asked.processes, asked.holds, asked.kills, asked.seed
            ),
            "fifty_at_once": fifty_at_once(str(Path(folder) / "fifty.sqlite")),
        }
    if not asked.json:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
