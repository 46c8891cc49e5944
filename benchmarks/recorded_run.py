"""A recorded vLLM run of 300 requests on an RTX 4090, predicted from operator tables alone.

Run: python benchmarks/recorded_run.py [--data FOLDER]   (llmservingsim, see docs)

The simulator gets the arrivals, the lengths, the KV blocks and the batch limits that the server
printed, and measured times of single operators; nothing is fitted to the run. Twice: as `sarathi`
admits by default (1 % of the blocks kept free), and with no block kept free.
"""

import argparse
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

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
from bursar.workload.traces.formats import read_recording

RESULTS = Path(__file__).parent / "results" / "recorded_run.json"
DATA = Path(__file__).parents[2] / "shared" / "data" / "serving" / "llmservingsim"
RUN = Path("bench") / "RTX4090" / "Llama-3.1-8B" / "vllm"
ENGINE_ALONE = EngineLaw(0.0, 0.0, 1.0, 0.0, 0.0)
"""The run's times are those of the engine, without a server in front of it."""

BARS = {"e2e_s": 0.03, "tpot_s": 0.03, "ttft_s": 0.15}


def predicted(folder: Path, watermark: float) -> Simulation:
    """The run, simulated."""
    meta = json.loads((folder / RUN / "meta.json").read_text(encoding="utf-8"))
    limits, cache = meta["engine_kwargs"], meta["kv_cache"]
    place = Deployment(
        model("llama-3.1-8b"),
        device("rtx-4090"),
        engine=Engine("vllm", fused_attention=True),
        calibration=replace(calibration(folder / "profiler"), law={"any": ENGINE_ALONE}),
    )
    policy = SarathiServe(limits["max_num_seqs"], limits["max_num_batched_tokens"], watermark)
    server = Server(TabulatedTimes(place), cache["num_gpu_blocks"], cache["block_size"])
    return simulate(read_recording(folder / RUN / "requests.jsonl").trace, server, policy)


def main() -> None:
    """Predict, print, and leave the figures in `results/recorded_run.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    folder = parser.parse_args().data
    if not (folder / RUN).is_dir():
        print(f"skipped: no recorded run at {folder / RUN}; name the folder with --data")
        return
    recording = read_recording(folder / RUN / "requests.jsonl")
    later = recording.trace.output_tokens - 1
    measured = {
        "e2e_s": float(np.mean(recording.e2e_s)),
        "tpot_s": float(
            np.mean((recording.e2e_s - recording.ttft_s)[later > 0] / later[later > 0])
        ),
        "ttft_s": float(np.mean(recording.ttft_s)),
    }
    found, lines = {}, []
    for watermark in (SarathiServe().watermark, 0.0):
        result = predicted(folder, watermark)
        means = {name: float(np.nanmean(getattr(result, name))) for name in measured}
        errors = {name: means[name] / measured[name] - 1 for name in measured}
        found[f"watermark {watermark:g}"] = {"predicted": means, "error": errors}
        lines += [
            [f"{watermark:.0%}", name, f"{measured[name]:.4g}", f"{means[name]:.4g}",
             f"{errors[name]:+.1%}", f"{bar:.0%}"]
            for name, bar in BARS.items()
        ]  # fmt: skip
    heads = ["kept free", "mean", "measured", "predicted", "error", "bar"]
    Console().print(plain_table("300 requests on an RTX 4090", heads, lines))
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
