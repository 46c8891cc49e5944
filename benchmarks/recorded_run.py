"""A recorded vLLM run of 300 requests on an RTX 4090, predicted from operator tables alone.

Run: python benchmarks/recorded_run.py [--data FOLDER]   (llmservingsim, see docs)

The simulator gets the arrivals, the lengths, the KV blocks and the batch limits that the server
printed, the prompts' token ids, and measured times of single operators; nothing is fitted to the
run. First as vLLM's V1 engine works, then with one thing changed at a time, to see what it is
worth.
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

from bursar.catalog import device, model
from bursar.cli.screen import plain_table
from bursar.cost import Deployment
from bursar.cost.calibration import EngineLaw, calibration
from bursar.cost.tables import Engine
from bursar.policies.batching import SarathiServe
from bursar.simulate import Server, Simulation, TabulatedTimes, simulate
from bursar.workload.traces import Recording, read_recording, read_trace

RESULTS = Path(__file__).parent / "results" / "recorded_run.json"
DATA = Path(__file__).parents[2] / "shared" / "data" / "serving" / "llmservingsim"
RUN = Path("bench") / "RTX4090" / "Llama-3.1-8B" / "vllm"
ENGINE_ALONE = EngineLaw(0.0, 0.0, 1.0, 0.0, 0.0)
"""The run's times are those of the engine, without a server in front of it."""

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


def settings(folder: Path) -> dict[str, Any]:
    """What the server printed."""
    return dict(json.loads((folder / RUN / "meta.json").read_text(encoding="utf-8")))


def predicted(folder: Path, variant: Variant) -> Simulation:
    """The run, simulated."""
    meta = settings(folder)
    limits, cache = meta["engine_kwargs"], meta["kv_cache"]
    place = Deployment(
        model("llama-3.1-8b"),
        device("rtx-4090"),
        engine=Engine("vllm", fused_attention=True),
        calibration=replace(calibration(folder / "profiler"), law={"any": ENGINE_ALONE}),
    )
    policy = SarathiServe(
        limits["max_num_seqs"], limits["max_num_batched_tokens"], variant.watermark
    )
    server = Server(
        TabulatedTimes(place),
        cache["num_gpu_blocks"] - 1,  # vLLM sets one aside, the null block
        cache["block_size"],
        prefix_cache=cache["enable_prefix_caching"] and variant.prefix_cache,
    )
    trace = read_recording(folder / RUN / "requests.jsonl").trace
    if variant.shared:
        asked = read_trace(folder / Path(meta["dataset_path"]).name)
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


def apart(run: Simulation, recording: Recording, folder: Path) -> dict[str, float]:
    """Mean distance over requests (seconds to first and last token) and over the run's seconds."""
    columns = np.genfromtxt(folder / RUN / "timeseries.csv", delimiter=",", names=True)
    line = run.timeline
    at = np.minimum((columns["t"] / line.width_seconds).astype(int), len(line.running) - 1)
    used = 100.0 * line.blocks / settings(folder)["kv_cache"]["num_gpu_blocks"]
    return {
        "first_token_s": float(np.mean(np.abs(run.ttft_s - recording.ttft_s))),
        "last_token_s": float(np.mean(np.abs(run.e2e_s - recording.e2e_s))),
        "running": float(np.mean(np.abs(line.running[at] - columns["running"]))),
        "waiting": float(np.mean(np.abs(line.waiting[at] - columns["waiting"]))),
        "kv_cache_percent": float(np.mean(np.abs(used[at] - columns["kv_cache_pct"]))),
    }


def main() -> None:
    """Predict, print, and leave the figures in `results/recorded_run.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    folder = parser.parse_args().data
    if not (folder / RUN).is_dir():
        print(f"skipped: no recorded run at {folder / RUN}; name the folder with --data")
        return
    recording = read_recording(folder / RUN / "requests.jsonl")
    outputs = recording.trace.output_tokens
    measured = means(recording, outputs)
    found, lines = {}, [["measured", *(f"{measured[key]:.4g}" for key in BARS)]]
    for name, variant in VARIANTS.items():
        run = predicted(folder, variant)
        told = means(run, outputs)
        errors = {key: told[key] / measured[key] - 1 for key in measured}
        distance = apart(run, recording, folder)
        found[name] = {"predicted": told, "error": errors, "apart": distance,
                       "preemptions": int(run.preemptions.sum())}  # fmt: skip
        lines.append([name, *(f"{errors[key]:+.1%}" for key in BARS),
                      *(f"{x:.2f}" for x in distance.values())])  # fmt: skip
    lines.append(["bar", *(f"{bar:.0%}" for bar in BARS.values())])
    heads = ["", *BARS, "first token, s", "last, s", "running", "waiting", "KV, %"]
    title = "300 requests on an RTX 4090: errors of the means, and mean distances"
    Console(width=120).print(plain_table(title, heads, lines))
    data = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": cpu(),
        "command": " ".join(["python", *sys.argv]),
        "measured": measured,
        **found,
    }
    RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
