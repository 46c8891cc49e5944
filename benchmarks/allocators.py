"""Allocators: certified gaps, seconds against items, and the ratio to HiGHS' interior point.

Run: PYTHONPATH=src python benchmarks/allocators.py [--quick]
Everything is measured in this one process on one thread, in seconds of processor time, so that
what else runs on the machine matters less (wall time is kept beside it). The peer solves only the
relaxation.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, sparse
from threadpoolctl import threadpool_limits

from bursar.allocate import HullAllocator, Options, UniformAllocator

Floats = NDArray[np.float64]
RESULTS = Path(__file__).parent / "results" / "allocators.json"
WIDTH = 8


def uncorrelated(rng: np.random.Generator, items: int) -> tuple[Floats, Floats]:
    return rng.random((items, WIDTH)), rng.random((items, WIDTH))


def weakly_correlated(rng: np.random.Generator, items: int) -> tuple[Floats, Floats]:
    costs = rng.random((items, WIDTH))
    return np.maximum(costs + 0.1 * rng.uniform(-1, 1, costs.shape), 0), costs


def strongly_correlated(rng: np.random.Generator, items: int) -> tuple[Floats, Floats]:
    costs = rng.random((items, WIDTH))
    return costs + 0.1, costs


def strongly_correlated_or_nothing(rng: np.random.Generator, items: int) -> tuple[Floats, Floats]:
    """With an option that spends nothing: how many items are served is then a whole number."""
    values, costs = strongly_correlated(rng, items)
    values[:, 0] = costs[:, 0] = 0.0
    return values, costs


def pass_at_k(rng: np.random.Generator, items: int) -> tuple[Floats, Floats]:
    samples = np.concatenate([[0.0], 2.0 ** np.arange(WIDTH - 1)])
    values = 1 - (1 - rng.beta(0.4, 0.8, (items, 1))) ** samples
    return values, samples * rng.uniform(50, 500, (items, 1))


def whole_tokens(rng: np.random.Generator, items: int) -> tuple[Floats, Floats]:
    values, costs = pass_at_k(rng, items)
    return values, np.rint(costs)


FAMILIES: tuple[Callable[[np.random.Generator, int], tuple[Floats, Floats]], ...] = (
    uncorrelated,
    weakly_correlated,
    strongly_correlated,
    strongly_correlated_or_nothing,
    pass_at_k,
    whole_tokens,
)
SHARES = (0.05, 0.3, 0.7)


def limit_of(costs: Floats, share: float) -> float:
    """The cheapest plan's cost plus `share` of the way to the dearest plan's."""
    least, most = float(costs.min(axis=1).sum()), float(costs.max(axis=1).sum())
    return least + share * (most - least)


def hull_row(
    family: Callable[[np.random.Generator, int], tuple[Floats, Floats]], items: int, share: float
) -> dict[str, Any]:
    """One plan by hull: seconds from arrays to plan, certified gap, and what uniform gets."""
    values, costs = family(np.random.default_rng(0), items)
    limit = limit_of(costs, share)
    start, wall = time.process_time(), time.perf_counter()
    options = Options(values, costs)
    plan = HullAllocator().allocate(options, limit)
    seconds, wall = time.process_time() - start, time.perf_counter() - wall
    spent = plan.total_usage["tokens"]
    if spent > limit:
        raise SystemExit(f"spent {spent} of {limit}")
    even = UniformAllocator().allocate(options, limit) if items <= 10_000 else None
    return {
        "family": family.__name__,
        "items": items,
        "options": WIDTH,
        "budget_share": share,
        "seconds": seconds,
        "wall_seconds": wall,
        "gap": plan.gap,
        "spent_share": spent / limit,
        "uniform_value_ratio": even and even.total_value / plan.total_value,
    }


def interior_point(values: Floats, costs: Floats, limit: float) -> tuple[float, float]:
    """(seconds, optimum) of the relaxation by HiGHS' interior point, given its sparse matrices."""
    items, width = values.shape
    pick = sparse.csr_matrix(
        (
            np.ones(items * width),
            np.arange(items * width),
            np.arange(0, items * width + 1, width),
        )
    )
    spend = sparse.csr_matrix(costs.reshape(1, -1))
    start = time.process_time()
    found = optimize.linprog(
        -values.ravel(),
        A_ub=spend,
        b_ub=[limit],
        A_eq=pick,
        b_eq=np.ones(items),
        bounds=(0, None),
        method="highs-ipm",
    )
    return time.process_time() - start, -found.fun


def against_interior_point(items: int) -> list[dict[str, Any]]:
    """Seconds of both for the same instance, best of three for ours, one run of the peer."""
    rows = []
    for family in (uncorrelated, pass_at_k):
        values, costs = family(np.random.default_rng(1), items)
        limit = limit_of(costs, 0.3)
        ours = []
        for _ in range(3):
            start = time.process_time()
            plan = HullAllocator().allocate(Options(values, costs), limit)
            ours.append(time.process_time() - start)
        theirs, optimum = interior_point(values, costs, limit)
        rows.append(
            {
                "family": family.__name__,
                "items": items,
                "hull_seconds": min(ours),
                "highs_ipm_seconds": theirs,
                "ratio": theirs / min(ours),
                "hull_gap": plan.gap,
                "relaxation_difference": abs(plan.bound - optimum) / abs(optimum),
            }
        )
    return rows


def processor() -> str:
    """The CPU's name where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    """Measures, prints, and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, nothing is written")
    quick = parser.parse_args().quick
    sizes = (1_000, 10_000) if quick else (1_000, 10_000, 100_000, 1_000_000)
    rows = [hull_row(f, n, s) for n in sizes for f in FAMILIES for s in SHARES]
    for row in rows:
        print(
            f"{row['items']:>9,} x {WIDTH} {row['family']:<31} share {row['budget_share']:<4} "
            f"{row['seconds']:8.3f} s  gap {row['gap']:.1e}"
        )
    growth = {n: max(r["seconds"] for r in rows if r["items"] == n) for n in sizes}
    print("slowest per size:", ", ".join(f"{n:,}: {s:.3f} s" for n, s in growth.items()))
    peers = against_interior_point(1_000 if quick else 100_000)
    for row in peers:
        print(
            f"{row['items']:,} x {WIDTH} {row['family']}: hull {row['hull_seconds']:.3f} s, "
            f"HiGHS interior point {row['highs_ipm_seconds']:.1f} s: {row['ratio']:.0f} times "
            f"faster (bounds differ by {row['relaxation_difference']:.0e})"
        )
    if quick:
        return
    RESULTS.parent.mkdir(exist_ok=True)
    document = {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": processor(),
        "command": "PYTHONPATH=src python benchmarks/allocators.py",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "hull": rows,
        "slowest_seconds": {str(n): s for n, s in growth.items()},
        "highs_interior_point": peers,
    }
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    print(f"written to {RESULTS.relative_to(Path(__file__).parents[1])}", file=sys.stderr)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
