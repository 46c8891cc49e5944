"""Recorded vLLM runs, predicted from operator tables alone.

Run: python benchmarks/recorded_run.py [--data FOLDER]   (llmservingsim, see docs)

Every folder below with a `meta.json` and a `requests.jsonl` is a run; here there is one, of 300
requests on an RTX 4090. The simulator gets the arrivals, the lengths, the KV blocks and the batch
limits that the server printed, the prompts' token ids, and measured times of single operators;
nothing is fitted to the run. First as vLLM's V1 engine works, then with one thing changed at a
time, to see what it is worth.
"""

import argparse
import json
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from machine import cpu
from rich.console import Console

from bursar.catalog import Device, devices
from bursar.cli.screen import plain_table
from bursar.cost import Deployment
from bursar.cost.calibration import EngineLaw, calibration
from bursar.cost.endtoend.named import named_model
from bursar.cost.tables import Engine
from bursar.errors import BadInput
from bursar.policies.batching import SarathiServe
from bursar.simulate import Server, Simulation, TabulatedTimes, simulate
from bursar.workload.traces import Recording, read_recording, read_trace

RESULTS = Path(__file__).parent / "results" / "recorded_run.json"
DATA = Path(__file__).parents[2] / "shared" / "data" / "serving" / "llmservingsim"
ENGINE_ALONE = EngineLaw(0.0, 0.0, 1.0, 0.0, 0.0)
"""The run's times are those of the engine, without a server in front of it."""

DTYPES = {"auto": "bf16", "bfloat16": "bf16", "float16": "fp16"}
BARS = {"e2e_s": 0.03, "tpot_s": 0.03, "ttft_s": 0.15}


@dataclass(frozen=True, slots=True)
class Variant:
    """How the engine is taken to work; by default as vLLM's does."""

    prefix_cache: bool = True
    """Whether preempted jobs find their blocks again, and..."""
    shared: bool = True
    """...prompts those of others, by their token ids."""
    watermark: float = 0.0
    """Share of the blocks that admissions leave free."""


VARIANTS = {
    "as vLLM works": Variant(),
    "prompts share nothing": Variant(shared=False),
    "no prefix cache": Variant(prefix_cache=False),
    "1 % kept free": Variant(watermark=0.01),
    "no prefix cache, 1 % kept free": Variant(prefix_cache=False, watermark=0.01),
}


def runs(data: Path) -> list[Path]:
    """Folders of runs."""
    return [path.parent for path in sorted(data.rglob("meta.json"))
            if (path.parent / "requests.jsonl").is_file()]  # fmt: skip


def settings(run: Path) -> dict[str, Any]:
    """What the server printed."""
    return dict(json.loads((run / "meta.json").read_text(encoding="utf-8")))


def deployment(data: Path, run: Path) -> Deployment:
    """What served it; raises `BadInput` for models and devices that the catalogue lacks."""
    meta = settings(run)
    asked, known = meta["engine_kwargs"], calibration(data / "profiler")
    return Deployment(
        named_model(meta["model"]).found,
        _device(meta["hardware"]["device_name"], {table.device for table in known.tables.all}),
        tp=asked["tensor_parallel_size"],
        dp=asked["data_parallel_size"],
        dtype=DTYPES[asked["dtype"]],
        kv_dtype=asked["kv_cache_dtype"] if asked["kv_cache_dtype"] == "fp8" else "bf16",
        engine=Engine("vllm", fused_attention=True),
        calibration=replace(known, law={"any": ENGINE_ALONE}),
    )


def _device(full_name: str, measured: set[str]) -> Device:
    """By the driver's name; of several alike (server, workstation) one with measured operators."""

    def shared(one: Device) -> tuple[int, bool]:
        words = set(one.full_name.lower().split()) & set(full_name.lower().split())
        return len(words), one.name in measured

    best = max(devices().values(), key=shared)
    if shared(best)[0] < 3:
        raise BadInput(f"no device of the catalogue is called {full_name!r}")
    among = [one for one in devices().values() if one.name in measured and shared(one)[0] >= 3]
    return max(among, key=shared) if among else best


def predicted(data: Path, run: Path, variant: Variant) -> Simulation:
    """The run, simulated."""
    meta = settings(run)
    limits, cache = meta["engine_kwargs"], meta["kv_cache"]
    policy = SarathiServe(
        limits["max_num_seqs"], limits["max_num_batched_tokens"], variant.watermark
    )
    server = Server(
        TabulatedTimes(deployment(data, run)),
        cache["num_gpu_blocks"] - 1,  # vLLM sets one aside, the null block
        cache["block_size"],
        prefix_cache=cache["enable_prefix_caching"] and variant.prefix_cache,
    )
    trace = read_recording(run / "requests.jsonl").trace
    workload = next(data.rglob(Path(meta["dataset_path"]).name), None)
    if variant.shared and workload is not None:
        asked = read_trace(workload)
        assert np.array_equal(asked.input_tokens, trace.input_tokens), "not the run's workload"
        trace = replace(trace, blocks=asked.blocks)
    return simulate(trace, server, policy)


def means(run: Recording | Simulation, outputs: np.ndarray) -> dict[str, float]:
    """Mean latencies (seconds), TPOT over answers of two tokens and more."""
    later = np.where(outputs > 1, outputs - 1.0, np.nan)
    return {
        "e2e_s": float(np.mean(run.e2e_s)),
        "tpot_s": float(np.nanmean((run.e2e_s - run.ttft_s) / later)),
        "ttft_s": float(np.mean(run.ttft_s)),
    }


def apart(found: Simulation, recording: Recording, run: Path) -> dict[str, float]:
    """Mean distance over requests (seconds to first and last token) and over the run's seconds."""
    columns = np.genfromtxt(run / "timeseries.csv", delimiter=",", names=True)
    line = found.timeline
    at = np.minimum((columns["t"] / line.width_seconds).astype(int), len(line.running) - 1)
    used = 100.0 * line.blocks / settings(run)["kv_cache"]["num_gpu_blocks"]
    return {
        "first_token_s": float(np.mean(np.abs(found.ttft_s - recording.ttft_s))),
        "last_token_s": float(np.mean(np.abs(found.e2e_s - recording.e2e_s))),
        "running": float(np.mean(np.abs(line.running[at] - columns["running"]))),
        "waiting": float(np.mean(np.abs(line.waiting[at] - columns["waiting"]))),
        "kv_cache_percent": float(np.mean(np.abs(used[at] - columns["kv_cache_pct"]))),
    }


def compared(data: Path, run: Path) -> dict[str, Any]:
    """A run beside each variant's account of it, also printed."""
    recording = read_recording(run / "requests.jsonl")
    outputs = recording.trace.output_tokens
    measured = means(recording, outputs)
    found: dict[str, Any] = {"measured": measured}
    lines = [["measured", *(f"{measured[key]:.4g}" for key in BARS)]]
    for name, variant in VARIANTS.items():
        simulated = predicted(data, run, variant)
        told = means(simulated, outputs)
        errors = {key: told[key] / measured[key] - 1 for key in measured}
        distance = apart(simulated, recording, run)
        found[name] = {"predicted": told, "error": errors, "apart": distance,
                       "preemptions": int(simulated.preemptions.sum())}  # fmt: skip
        lines.append([name, *(f"{errors[key]:+.1%}" for key in BARS),
                      *(f"{x:.2f}" for x in distance.values())])  # fmt: skip
    lines.append(["bar", *(f"{bar:.0%}" for bar in BARS.values())])
    heads = ["", *BARS, "first token, s", "last, s", "running", "waiting", "KV, %"]
    place = deployment(data, run)
    title = (
        f"{len(outputs)} requests to {place.model.name} on {place.device.name}: errors of the "
        "means, and mean distances"
    )
    Console(width=120).print(plain_table(title, heads, lines))
    return found


def main() -> None:
    """Predict, print, and leave the figures in `results/recorded_run.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    data = parser.parse_args().data
    if not runs(data):
        print(f"skipped: no recorded run below {data}; name the folder with --data")
        return
    try:
        found = {str(run.relative_to(data)): compared(data, run) for run in runs(data)}
    except BadInput as error:
        print(f"recorded_run: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": cpu(),
        "command": " ".join(["python", *sys.argv]),
        "runs": found,
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
