"""How far predicted times of served models are from measured ones.

    python benchmarks/serving_truth.py [--measured FILE.csv] [--tables FOLDER] [--leave-group-out]
                                       [--runs FOLDER] [--json] [--write-docs]

`FILE.csv` has the format of `measured_end_to_end.csv` in the recorded data (../shared), which is
the default. Every row is predicted: by the coefficients that ship, or with `--leave-group-out` by
coefficients and intervals from all other (model, device) groups of the file. Each row is priced
without operator tables, with them where `--tables` has its device (by default those of the recorded
data, if they are there), and as if its model were not in the catalogue. `--json` ends with the
result as one line; `--write-docs` keeps it in results/serving_truth.json and renews the figures of
docs/serving.md.
"""

import argparse
import datetime
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import cpu
from rich.console import Console
from rich.progress import track
from serving_figures import WAYS, renewed, shown
from serving_runs import runs

from bursar.cost.calibration import shipped
from bursar.cost.endtoend import Measured, read_measured
from bursar.cost.endtoend.fit import Sample, calibrate, laws_without, left_out, priced
from bursar.errors import BadInput

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "../shared/data/serving/measured_end_to_end.csv"
TABLES = DATA.parent / "aiconfigurator"
RESULT = ROOT / "benchmarks/results/serving_truth.json"
DOCS = ROOT / "docs/serving.md"
GOALS = (
    "most tokens a second and device",
    "most tokens a second and device, of one load",
    "least time between tokens",
)
NEAR = 0.05
Result = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measured", type=Path, default=DATA)
    parser.add_argument("--tables", type=Path, default=TABLES if TABLES.is_dir() else None)
    parser.add_argument("--runs", type=Path, help="recorded runs on H100s; see serving_runs.py")
    parser.add_argument("--leave-group-out", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write-docs", action="store_true")
    chosen = parser.parse_args(arguments)
    try:
        rows = read_measured(chosen.measured)
        result = run(rows, chosen.tables, leave_out=chosen.leave_group_out)
        if chosen.runs is not None:
            result["runs"] = runs(chosen.runs, "h100-sxm")
    except BadInput as error:
        print(f"serving_truth: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    given = sys.argv[1:] if arguments is None else arguments
    result = {
        "date": str(datetime.date.today()),
        "machine": cpu(),
        "command": " ".join(["python benchmarks/serving_truth.py", *map(str, given)]),
        **result,
    }
    for line in shown(result):
        print(line)
    if chosen.write_docs:
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        DOCS.write_text(renewed(DOCS.read_text(encoding="utf-8"), result), encoding="utf-8")
    if chosen.json:
        print(json.dumps(result))


def run(rows: Sequence[Measured], tables: Path | None, *, leave_out: bool) -> Result:
    """Every row predicted in each way, and what came of it."""
    if not rows:
        raise BadInput("no rows; give a file with at least one measured server")
    console = Console(stderr=True)
    ways = 3 if tables else 2
    steps = priced(rows, tables)
    sample = Sample.of(track(steps, "steps", total=ways * len(rows), console=console))
    middle, low, high = _predicted(sample, leave_out=leave_out)
    count = len(rows)
    found: Result = {"rows": count, "left_out": "(model, device) groups" if leave_out else "none"}
    notes = sorted({note for row in rows for note in row.notes})
    found["assumed"] = notes
    for name, part in zip((WAYS[1], WAYS[2], WAYS[0]), range(ways), strict=False):
        at = slice(part * count, (part + 1) * count)
        one = {m: (middle[m][at], low[m][at], high[m][at]) for m in ("ttft", "tpot")}
        found[name] = _report(rows, sample.loads.tier[at], one)
    return found


def _predicted(sample: Sample, *, leave_out: bool) -> tuple[dict[str, np.ndarray], ...]:
    """Middle, low and high seconds by metric."""
    measured = {"ttft": sample.ttft, "tpot": sample.tpot}
    if leave_out:
        if len(sample.names) < 3:
            raise BadInput("--leave-group-out needs three (model, device) groups at least")
        left = track(
            laws_without(sample), "fits", total=len(sample.names), console=Console(stderr=True)
        )
        ratios = left_out(sample, dict(left))
        by = {name: calibrate(sample, ratios, without=name) for name in sample.names}
    else:
        ratios = sample.ratios(shipped().law)
        by = dict.fromkeys(sample.names, shipped().intervals)
    middle = {m: measured[m] / np.exp(ratios[m]) for m in measured}
    keys = list(zip(sample.group, sample.loads.tier, sample.loads.mode, strict=True))
    bounds = {m: np.array([_bounds(by[g], t, mode)[m] for g, t, mode in keys]).T for m in measured}
    return middle, *({m: middle[m] * bounds[m][side] for m in measured} for side in (0, 1))


def _bounds(intervals: Any, tier: str, mode: str) -> Any:
    """What a file has too few groups for is taken from what ships."""
    own = intervals.get(tier, {}).get(mode)
    return own or shipped().intervals[tier][mode]


def _report(rows: Sequence[Measured], tiers: np.ndarray, predicted: dict[str, Any]) -> Result:
    """Errors and cover, all together and by what rows have in common; ranking."""
    keys: dict[str, Callable[[int], str]] = {
        "mode": lambda i: rows[i].served.mode,
        "tier": lambda i: str(tiers[i]),
        "engine": lambda i: rows[i].served.engine,
        "device": lambda i: rows[i].served.decode.place.device.name,
        "model": lambda i: rows[i].served.decode.place.model.name,
        "group": lambda i: rows[i].group,
    }
    everyone = list(range(len(rows)))
    # a run that is published more than once: its best described row
    told = sorted(everyone, key=lambda i: rows[i].served.mode != "unstated")
    runs = [(r.group, r.served.engine, r.ttft_seconds, r.tpot_seconds) for r in rows]
    once = {runs[i]: i for i in told}
    found: Result = {
        "all": _errors(rows, everyone, predicted),
        "once": _errors(rows, sorted(once.values()), predicted),
    }
    for name, key in keys.items():
        parts: dict[str, list[int]] = {}
        for i in everyone:
            if name in ("mode", "tier") or rows[i].served.mode == "aggregated":
                parts.setdefault(key(i), []).append(i)
        found[f"by {name}"] = {k: _errors(rows, parts[k], predicted) for k in sorted(parts)}
    found["ranking"] = _ranking(rows, predicted)
    return found


def _errors(rows: Sequence[Measured], at: list[int], predicted: dict[str, Any]) -> Result:
    """Median errors over rows and over groups' medians, and the share inside the interval."""
    found: Result = {"rows": len(at)}
    names = np.array([rows[i].group for i in at])
    for metric, (middle, low, high) in predicted.items():
        measured = np.array([getattr(rows[i], f"{metric}_seconds") for i in at])
        error = np.abs(middle[at] / measured - 1.0)
        groups = [np.median(error[names == name]) for name in set(names.tolist())]
        inside = (measured >= low[at]) & (measured <= high[at])
        found[metric] = {
            "median_error": round(float(np.median(error)), 4),
            "median_of_groups": round(float(np.median(groups)), 4),
            "inside": round(float(np.mean(inside)), 4),
        }
    return found


def _ranking(rows: Sequence[Measured], predicted: dict[str, Any]) -> Result:
    """How often the predicted best of one (model, device, lengths) is nearly the measured best.

    Fleets whose size is not stated are left out. A configuration measured more than once counts
    once, by its medians.
    """
    same: dict[Any, list[int]] = {}
    for i, row in enumerate(rows):
        if row.served.mode != "unstated":
            same.setdefault(_configuration(row), []).append(i)
    columns = (
        predicted["ttft"][0],
        predicted["tpot"][0],
        np.array([row.ttft_seconds for row in rows]),
        np.array([row.tpot_seconds for row in rows]),
    )
    found: Result = {}
    for goal in GOALS:
        races: dict[Any, list[tuple[float, float]]] = {}
        for at in same.values():
            served = rows[at[0]].served
            times = [float(np.median(column[at])) for column in columns]
            key = (rows[at[0]].group, served.tokens_in, served.tokens_out)
            if goal == GOALS[1]:
                key = (*key, served.in_flight)
            races.setdefault(key, []).append(
                (_score(goal, served, *times[:2]), _score(goal, served, *times[2:]))
            )
        raced = [np.array(race) for race in races.values() if len(race) > 1]
        near = [r[np.argmax(r[:, 0]), 1] >= (1.0 - NEAR) * np.max(r[:, 1]) for r in raced]
        share = round(float(np.mean(near)), 4) if near else None
        found[goal] = {"groups": len(raced), "near": share}
    return found


def _configuration(row: Measured) -> tuple[object, ...]:
    """What tells one server and its load from another."""
    served = row.served
    pools = (served.decode,) if served.prefill is None else (served.decode, served.prefill)
    engines = [replace(p.place.engine, version="") for p in pools]
    sizes = [(p.place.tp, p.place.dp, p.place.dtype, p.workers) for p in pools]
    load = (served.in_flight, served.tokens_in, served.tokens_out)
    return row.group, *engines, *sizes, *load


def _score(goal: str, served: Any, ttft: float, tpot: float) -> float:
    if goal == GOALS[2]:
        return 1.0 / tpot
    pools = (served.decode,) if served.prefill is None else (served.decode, served.prefill)
    devices = sum(pool.place.devices * (pool.workers or 1) for pool in pools)
    return served.in_flight * served.tokens_out / (ttft + tpot * served.tokens_out) / devices


if __name__ == "__main__":
    main()
