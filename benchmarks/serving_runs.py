"""Recorded vLLM runs at a constant rate of arrivals, predicted: `serving_truth.py --runs FOLDER`.

A run is a folder with `exp-config.yaml` and `results/stage_*_lifecycle_metrics.json` of
inference-perf. Requests in flight follow from Little's law: their number is the rate times how long
each takes, and how long each takes depends on their number. The runs ask a few dozen prompts again
and again, so all but the last block of a prompt is in the cache.

Without a burst at the start, and with cached prompts, a first token takes a number of steps: the
one under way, the one prepared, its own. That number is the median of the *other* models' runs;
nothing else is fitted to these.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import brentq

from bursar import catalog
from bursar.cost import Deployment
from bursar.cost.endtoend import Pool, Served, latencies
from bursar.cost.endtoend.named import named_model
from bursar.cost.tables import Engine
from bursar.errors import BadInput

BLOCK_TOKENS = 16
Result = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """One rate of one run; seconds are means over requests."""

    model: str
    tp: int
    most: float
    rate: float
    tokens_in: int
    tokens_out: int
    latency: float
    ttft: float


def runs(folder: Path, device: str) -> Result:
    """Errors by stage, each model's by what the others' runs say of the first token."""
    stages = list(_stages(folder))
    tpot = np.array([_tpot(stage, device) for stage in stages])
    models = np.array([stage.model for stage in stages])
    measured = np.array([(stage.latency, stage.ttft) for stage in stages]).T
    out = np.array([stage.tokens_out for stage in stages])
    steps = measured[1] / tpot
    others = [float(np.median(steps[models != name])) for name in models]
    ttft = np.array(others) * tpot
    errors = np.abs(np.stack([ttft + tpot * (out - 1), ttft]) / measured - 1.0)
    found: Result = {
        "stages": len(stages),
        "steps_to_first_token": round(float(np.mean(others)), 2),
    }
    for metric, error in zip(("latency", "ttft"), errors, strict=True):
        found[metric] = {
            "median_error": round(float(np.median(error)), 4),
            "by model": {
                name: round(float(np.median(error[models == name])), 4)
                for name in sorted(set(models.tolist()))
            },
        }
    return found


def _stages(folder: Path) -> Iterator[Stage]:
    found = sorted(folder.glob("*/results/stage_*_lifecycle_metrics.json"))
    if not found:
        raise BadInput(f"no runs in {folder}; give the folder that holds folders with results/")
    for path in found:
        lines = (path.parents[1] / "exp-config.yaml").read_text(encoding="utf-8").splitlines()
        settings = dict(line.split(": ", 1) for line in lines if ": " in line)
        stage = json.loads(path.read_text(encoding="utf-8"))
        done, load = stage["successes"], stage["load_summary"]
        yield Stage(
            model=settings["model"],
            tp=int(settings["tensor_parallelism"]),
            most=float(settings["max_num_seqs"]),
            rate=float(load["achieved_rate"]),
            tokens_in=round(done["prompt_len"]["mean"]),
            tokens_out=round(done["output_len"]["mean"]),
            latency=float(done["latency"]["request_latency"]["mean"]),
            ttft=float(done["latency"]["time_to_first_token"]["mean"]),
        )


def _tpot(stage: Stage, device: str) -> float:
    """Seconds between tokens with as many requests in flight as keep up with the rate."""
    spec, engine = named_model(stage.model).found, Engine("vllm")
    place = Deployment(spec, catalog.device(device), tp=stage.tp, engine=engine)

    def seconds(in_flight: float) -> float:
        served = Served(
            decode=Pool(place),
            in_flight=in_flight,
            tokens_in=stage.tokens_in,
            tokens_out=stage.tokens_out,
            cached_in=max(0, stage.tokens_in - BLOCK_TOKENS),
        )
        return latencies(served)[1].item()

    def more(in_flight: float) -> float:
        return stage.rate * stage.tokens_out * seconds(in_flight) - in_flight

    if more(stage.most) >= 0:
        return seconds(stage.most)
    return seconds(float(brentq(more, 1.0, stage.most, rtol=1e-3))) if more(1.0) > 0 else seconds(1)


def shown_runs(result: Result) -> list[str]:
    """The result as a Markdown table."""
    lines = [
        "",
        f"### Recorded runs at a constant rate, {result['stages']} stages",
        "",
        "| median error | request latency | TTFT |",
        "|---|---:|---:|",
    ]
    parts = (result[metric] for metric in ("latency", "ttft"))
    both = zip(*([one["median_error"], *one["by model"].values()] for one in parts), strict=True)
    names = ["all", *result["latency"]["by model"]]
    return lines + [
        f"| {name} | {latency:.1%} | {ttft:.1%} |"
        for name, (latency, ttft) in zip(names, both, strict=True)
    ]
