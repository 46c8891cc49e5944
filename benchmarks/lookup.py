"""Lookup: an inverse problem by a database made offline against MCMC of several lengths.

Run: python benchmarks/lookup.py [--quick]

Fisher's growth on 64 cells and 60 steps, noise 0.1; 5,000 runs against an ensemble of 16 walkers.
Errors are shares of each parameter's range; costs are online and per patient, in processor seconds
and FLOPs. Break-even: patients until the database has paid for itself.
"""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from machine import cpu

from bursar.budget import Budget
from bursar.reason.ahead import Growth, RunDatabase, break_even_queries, metropolis
from bursar.reason.ahead.growth import draw_parameters, relative_error

RESULTS = Path(__file__).parent / "results" / "lookup.json"
NOISE = 0.1


def row(found: list[Any], truth: Any, online: Budget) -> dict[str, float]:
    """Error, and what one patient took."""
    seconds, flops = online.spent.seconds or 0.0, online.spent.flops or 0.0
    return {
        "error": relative_error(np.array(found), truth),
        "seconds": seconds / len(found),
        "flops": flops / len(found),
    }


def main() -> None:
    """Measure, print, and leave the figures in `results/lookup.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small, and writes nothing")
    quick = parser.parse_args().quick
    patients = 5 if quick else 40
    growth, rng = Growth(), np.random.default_rng(0)
    truth = draw_parameters(rng, patients)
    seen = growth.run(truth) + NOISE * rng.standard_normal((patients, growth.cells))
    lookups, chains = [], []
    for runs in (50, 500, 5_000):
        offline = Budget(name="offline")
        database = RunDatabase.build(growth, runs, np.random.default_rng(1), offline)
        for measure in ("l2", "dice"):
            online = Budget(name="online")
            found = [database.look_up(s, online, measure=measure) for s in seen]
            lookups.append({"runs": runs, "measure": measure, **row(found, truth, online),
                            "offline_seconds": offline.spent.seconds,
                            "offline_flops": offline.spent.flops})  # fmt: skip
            print(lookups[-1], flush=True)
    for sweeps in (20, 80) if quick else (20, 40, 80, 120, 160, 320):
        online, draws = Budget(name="online"), np.random.default_rng(2)
        found = [metropolis(growth, s, NOISE, draws, online, sweeps=sweeps) for s in seen]
        chains.append({"sweeps": sweeps, **row(found, truth, online)})
        print(chains[-1], flush=True)
    best = next(x for x in reversed(lookups) if x["measure"] == "l2")
    rival = next((c for c in chains if c["error"] <= best["error"]), chains[-1])
    summary = {
        "lookup_error": best["error"],
        "mcmc_error": rival["error"],
        "mcmc_sweeps": rival["sweeps"],
        "fewer_seconds": rival["seconds"] / best["seconds"],
        "fewer_flops": rival["flops"] / best["flops"],
        "break_even_patients": break_even_queries(
            float(best["offline_flops"]), rival["flops"], best["flops"]
        ),
    }
    print(summary)
    if not quick:
        data = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": cpu(),
            "command": " ".join(["python", *sys.argv]),
            "patients": patients,
            "summary": summary,
            "lookup": lookups,
            "mcmc": chains,
        }
        RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
