"""Simulator: requests a second on the Azure conversation trace, and how time grows with requests.

Run: python benchmarks/simulator.py --data FILE   (azure_llm_2023_conv.csv, see docs)

Llama-3.1-8B on one H100 at the trace's own rate, per batching policy, beside the token-by-token
twin of the tests on the first 2,000 requests: what closed forms between events buy. Then the
trace's lengths drawn anew at the same rate, 10 thousand to 1 million requests.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from machine import cpu
from rich.console import Console
from rich.progress import Progress

from bursar.catalog import device, model
from bursar.cli.screen import plain_table
from bursar.cost import Deployment
from bursar.policies.batching import BATCHING, SarathiServe
from bursar.simulate import server_of, simulate
from bursar.workload.traces import Trace, read_trace

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "simulator.json"
DATA = ROOT.parent / "shared" / "data" / "serving" / "azure_llm_2023_conv.csv"
SIZES = (10_000, 31_623, 100_000, 316_228, 1_000_000)
TWIN_REQUESTS = 2_000

sys.path.insert(0, str(ROOT / "tests" / "simulate"))
from token_by_token import serve  # noqa: E402


def seconds(run: Callable[[], object], repeats: int) -> float:
    """Least processor seconds of a few runs."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
    return min(found)


def drawn(trace: Trace, count: int) -> Trace:
    """`count` requests with the trace's lengths and rate, arriving as a Poisson process."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(trace), count)
    gap = float(trace.arrival_s[-1]) / len(trace)
    arrival = np.cumsum(rng.exponential(gap, count))
    return Trace(arrival, trace.input_tokens[rows], trace.output_tokens[rows])


def main() -> None:
    """Measure, print, and leave the figures in `results/simulator.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--quick", action="store_true", help="up to 31,623, and writes nothing")
    args = parser.parse_args()
    if not args.data.is_file():
        print(f"skipped: no trace at {args.data}; name it with --data")
        return
    trace, sizes = read_trace(args.data), SIZES[:2] if args.quick else SIZES
    server = server_of(Deployment(model("llama-3.1-8b"), device("h100-sxm")))
    policies, growth = {}, {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("simulating", total=len(BATCHING) + len(sizes) + 1)
        for name, policy in BATCHING.items():
            took = seconds(lambda policy=policy: simulate(trace, server, policy()), 3)
            policies[name] = len(trace) / took
            progress.advance(task)
        for count in sizes:
            many = drawn(trace, count)
            growth[count] = seconds(lambda many=many: simulate(many, server, SarathiServe()), 1)
            progress.advance(task)
        some = trace.take(np.arange(TWIN_REQUESTS))
        twin = seconds(lambda: serve(some, server, SarathiServe()), 1)
        ratio = twin / seconds(lambda: simulate(some, server, SarathiServe()), 3)
        progress.advance(task)
    slope = float(np.polyfit(np.log(list(growth)), np.log(list(growth.values())), 1)[0])
    screen = Console()
    screen.print(plain_table(
        "requests a second, Azure conversations", ["policy", "requests/s"],
        [[name, f"{rate:,.0f}"] for name, rate in policies.items()],
    ))  # fmt: skip
    screen.print(plain_table(
        f"growth: seconds go with requests to the power {slope:.2f}",
        ["requests", "seconds", "requests/s"],
        [[f"{n:,}", f"{s:.2f}", f"{n / s:,.0f}"] for n, s in growth.items()],
    ))  # fmt: skip
    print(f"{ratio:.0f} times as fast as token by token")
    if not args.quick:
        data = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": cpu(),
            "command": " ".join(["python", *sys.argv]),
            "requests_per_second": policies,
            "seconds_by_requests": growth,
            "growth_exponent": slope,
            "times_token_by_token": ratio,
        }
        RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
