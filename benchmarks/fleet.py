"""Fleets: the mix of instance types, against the published formulation and against single types.

Run: python benchmarks/fleet.py [--quick] [--data FILE]   (azure_llm_2023_conv.csv, see docs)

1. Random instances of Mélange's size: ours, which counts equal slices, beside the published
   programme, which tells them apart, both by HiGHS with the same limits of gap and time.
2. 50 random workloads on four device types with Llama-3.1-8B: the planned mix against the best
   single type, and the share of requests that meet the goal in the simulator.
3. A whole plan for a 70B model over eight device types on the Azure conversation trace.
"""

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from machine import cpu
from rich.console import Console
from rich.progress import track
from scipy import optimize, sparse

from bursar.allocate.demand import Demand
from bursar.allocate.fleet import cheapest_fleet
from bursar.catalog import device, model
from bursar.fleet import Goal
from bursar.fleet.plan import Request, plan_fleet
from bursar.policies.batching import SarathiServe
from bursar.workload.traces import Trace, read_trace

RESULTS = Path(__file__).parent / "results" / "fleet.json"
DATA = Path(__file__).parents[2] / "shared" / "data" / "serving" / "azure_llm_2023_conv.csv"
USD = np.array([0.7, 1.01, 3.67, 7.52])
"""An hour of the paper's four types: L4, A10G, A100, H100."""
GAP, SECONDS = 1e-3, 20.0
FEW = ("l4", "l40s", "a100-sxm-80gb", "h100-sxm")
MANY = (*FEW, "a10g", "h200-sxm", "b200-sxm", "mi300x")


def instance(kinds: int, seed: int) -> np.ndarray:
    """Load (kinds, 4) of a random instance: throughput goes with price, more or less by kind."""
    rng = np.random.default_rng(seed)
    throughput = rng.uniform(0.5, 10, (kinds, 4)) * USD ** rng.uniform(0.6, 1.2, (kinds, 1))
    return rng.uniform(0.2, 4, (kinds, 1)) / throughput


def published(load: np.ndarray, slices: int) -> tuple[float, float | None]:
    """(seconds, gap) of the formulation with one 0/1 variable per slice and type."""
    each = np.repeat(load / slices, slices, axis=0)
    count, types = each.shape
    one = sparse.kron(sparse.eye_array(count), np.ones((1, types)))
    pick = sparse.hstack([one, sparse.csr_array((count, types))])
    rows = np.tile(np.arange(types), count)
    filled = sparse.csr_array((each.ravel(), (rows, np.arange(count * types))))
    fits = sparse.hstack([filled, sparse.csr_array(-np.eye(types))])
    high = np.concatenate([np.ones(count * types), np.full(types, np.inf)])
    start = time.perf_counter()
    found = optimize.milp(
        np.concatenate([np.zeros(count * types), USD]),
        integrality=np.ones(len(high)),
        bounds=optimize.Bounds(0, high),
        constraints=[optimize.LinearConstraint(pick, 1, 1), optimize.LinearConstraint(fits, ub=0)],
        options={"time_limit": SECONDS, "mip_rel_gap": GAP},
    )
    return time.perf_counter() - start, None if found.x is None else float(found.mip_gap)


def mixes(seeds: int) -> list[dict[str, Any]]:
    """Both formulations on instances of 6 x 6 kinds in 4 slices and 10 x 10 in 8."""
    out = []
    for kinds, slices in ((36, 4), (100, 8)):
        for seed in track(range(seeds), f"{kinds} kinds", console=Console(stderr=True)):
            load = instance(kinds, seed)
            start = time.perf_counter()
            fleet = cheapest_fleet(
                Demand(load, USD), slices=slices, target_gap=GAP, time_limit_s=SECONDS
            )
            seconds = time.perf_counter() - start
            its_seconds, its_gap = published(load, slices)
            out.append({
                "kinds": kinds, "slices": slices, "seed": seed, "seconds": seconds,
                "gap": fleet.gap, "published_seconds": its_seconds, "published_gap": its_gap,
            })  # fmt: skip
    return out


def workload(seed: int, requests: int = 1500) -> Trace:
    """Poisson arrivals of two populations of lengths, mixed at random."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform((4.5, 3.5), (7.5, 5.5), (2, 2))
    of = (rng.random(requests) < rng.uniform(0.1, 0.9)).astype(int)
    lengths = np.exp(rng.normal(centre[of], 0.5)).astype(int) + 1
    rate = float(np.exp(rng.uniform(np.log(5), np.log(60))))
    return Trace(np.cumsum(rng.exponential(1 / rate, requests)), lengths[:, 0], lengths[:, 1])


def against_single(count: int) -> list[dict[str, Any]]:
    """Dollars an hour of the mix and of the best single type, and what the simulator confirms."""
    out = []
    asked = Request(model("llama-3.1-8b"), tuple(map(device, FEW)), Goal(2.0, 0.06))
    for seed in track(range(count), "workloads", console=Console(stderr=True)):
        plans = plan_fleet(asked, workload(seed), SarathiServe())
        out.append({
            "seed": seed, "usd_per_hour": plans.best.usd_per_hour,
            "best_single": min(plan.usd_per_hour for plan in plans.alone.values()),
            "types": len(plans.best.instances), "attainment": plans.best.attainment,
        })  # fmt: skip
    return out


def main() -> None:
    """Measure, print, and leave the figures in `results/fleet.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--quick", action="store_true", help="few, and writes nothing")
    args = parser.parse_args()
    solved = mixes(1 if args.quick else 10)
    for kinds in (36, 100):
        rows = [r for r in solved if r["kinds"] == kinds]
        print(
            f"{kinds} kinds: ours at most {max(r['seconds'] for r in rows):.2f} s, gap at most "
            f"{max(r['gap'] for r in rows):.2%}; published at most "
            f"{max(r['published_seconds'] for r in rows):.1f} s, gap at most "
            f"{max(1 if r['published_gap'] is None else r['published_gap'] for r in rows):.2%}"
        )
    single = against_single(3 if args.quick else 50)
    saved = np.array([1 - r["usd_per_hour"] / r["best_single"] for r in single])
    print(
        f"{len(single)} workloads: mix cheaper by {saved.mean():.1%} on average, dearer in "
        f"{(saved < -1e-9).sum()}, cheaper in {(saved > 1e-9).sum()}; goal met by at least "
        f"{min(r['attainment'] for r in single):.2%} of requests"
    )
    data = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": cpu(),
        "command": " ".join(["python", *sys.argv]),
        "mixes": solved,
        "workloads": single,
    }
    if args.data.is_file():
        start = time.perf_counter()
        asked = Request(model("llama-3.1-70b"), tuple(map(device, MANY)), Goal(2.0, 0.06))
        plan_fleet(asked, read_trace(args.data), SarathiServe())
        data["plan_70b_8_types_seconds"] = time.perf_counter() - start
        print(f"70B over {len(MANY)} device types: {data['plan_70b_8_types_seconds']:.1f} s")
    if not args.quick:
        RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
