"""Steps summed from operators against measured servers: `python benchmarks/operator_truth.py`.

Reads `measured_end_to_end.csv` and the tables beside it in the recorded data (../shared), and
predicts the time between tokens of every aggregated server: decoding at the mean context, and
`batch` - 1 prefills spread over a request's steps, in chunks of 8,192 tokens that run together with
decoding. Three tiers: tables of the same device and engine, coefficients fitted to other tables
(H100, H200, B200 and GB200 alike), and the plain roofline, which was fitted to servers such as
these. Nothing is fitted here. `--json FILE` writes the rows.
"""

import argparse
import csv
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from cost_roofline import DATA, Point, _point, predict

from bursar.cost import MEASURED, Deployment, step_arrays
from bursar.cost.calibration import Calibration, calibration
from bursar.cost.tables import Engine, operator_steps
from bursar.cost.work import Rows

TABLES = DATA.parent / "aiconfigurator"
CHUNK = 8192


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    known = calibration(TABLES)
    rows = [predicted(point, row, known) for point, row in points()]
    groups = defaultdict(list)
    for row in rows:
        groups[row["model"], row["device"], row["engine"]].append(row)
    print(f"{'model, device, engine':46s}{'rows':>5s}  median error of: table, fitted, roofline;")
    print(f"{'':53s}measured / predicted by tables (p10, p50, p90), inside its 80 % interval")
    for name, members in sorted(groups.items()):
        print(line(" ".join(name), members))
    for name, members in (
        ("all", rows),
        ("devices with tables", [r for r in rows if r["tables"]]),
        ("devices without", [r for r in rows if not r["tables"]]),
    ):
        print(line(name, members))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(rows) + "\n", encoding="utf-8")


def points() -> list[tuple[Point, dict[str, str]]]:
    """The rows that speak of one kind of server, with what they say of it."""
    with DATA.open(encoding="utf-8") as file:
        read = [(_point(row), row) for row in csv.DictReader(file)]
    return [(point, row) for point, row in read if isinstance(point, Point)]


def predicted(point: Point, row: dict[str, str], known: Calibration) -> dict[str, object]:
    """What was measured and what each tier says, in seconds."""
    without = replace(deployment(point), engine=settings(point, row))
    with_tables = replace(without, calibration=known)
    place = without
    table, low, high, share = between_tokens(with_tables, point)
    fitted, fitted_low, fitted_high, _ = between_tokens(without, point)
    return {
        "model": place.model.name,
        "device": place.device.name,
        "engine": point.backend,
        "version": row["backend_version"],
        "tp": place.tp,
        "dp": place.dp,
        "ep": place.engine.ep,
        "batch": point.batch,
        "tokens_in": point.tokens_in,
        "tokens_out": point.tokens_out,
        "layers": place.model.layers,
        "tpot": point.tpot,
        "table": table,
        "low": low,
        "high": high,
        "tables": share,
        "fitted": fitted,
        "fitted_low": fitted_low,
        "fitted_high": fitted_high,
        "roofline": predict(point, MEASURED)[1],
        "decode": float(step_arrays(with_tables, 1, _length(point), point.batch).seconds),
    }


def deployment(point: Point) -> Deployment:
    """As measured; TensorRT-LLM keeps the cache of an FP8 or FP4 model in FP8."""
    place = point.deployment
    fp8_cache = point.backend == "trtllm" and place.dtype in ("fp8", "fp4")
    return Deployment(
        place.model,
        place.device,
        tp=place.tp,
        pp=place.pp,
        dp=place.dp,
        dtype=place.dtype,
        kv_dtype="fp8" if fp8_cache else place.kv_dtype,
    )


def settings(point: Point, row: dict[str, str]) -> Engine:
    """The row's engine."""
    blocks = True if row["gemm_quant_mode"] == "fp8_block" else None
    return Engine(point.backend, block_scales=blocks, ep=int(row["moe_ep_size"] or 1))


def between_tokens(place: Deployment, point: Point) -> tuple[float, float, float, float]:
    """(seconds, low, high, share of it from tables) of one token of one request."""
    length = _length(point)
    chunks = -(-point.tokens_in // CHUNK)
    size = point.tokens_in / chunks
    decode = operator_steps(place, Rows.of(1, length, point.batch))
    starts = size * np.arange(chunks)[:, None]
    new = np.concatenate([np.ones_like(starts), np.full_like(starts, max(size, 2))], axis=-1)
    context = np.concatenate([np.full_like(starts, length), starts], axis=-1)
    mixed = operator_steps(place, Rows.of(new, context, np.array([point.batch, 1.0])))
    often = (point.batch - 1) / max(point.tokens_out - 1, 1)

    def mean(alone: np.ndarray, together: np.ndarray) -> float:
        return float(alone + often * (np.sum(together) - chunks * alone))

    return (
        mean(decode.seconds, mixed.seconds),
        mean(decode.low, mixed.low),
        mean(decode.high, mixed.high),
        1.0 - decode.tiers.get("fitted", 0.0),
    )


def _length(point: Point) -> float:
    return point.tokens_in + point.tokens_out / 2


def line(name: str, rows: list[dict[str, object]]) -> str:
    """Median errors by tier, quantiles of measured over predicted, share inside the interval."""
    measured = np.array([row["tpot"] for row in rows])
    error = {
        tier: float(np.median(np.abs(np.array([row[tier] for row in rows]) / measured - 1.0)))
        for tier in ("table", "fitted", "roofline")
    }
    ratio = measured / np.array([row["table"] for row in rows])
    inside = np.mean([row["low"] <= row["tpot"] <= row["high"] for row in rows])
    quantiles = "  ".join(f"{q:.2f}" for q in np.quantile(ratio, [0.1, 0.5, 0.9]))
    shown = "  ".join(f"{value:6.1%}" for value in error.values())
    return f"{name:46s}{len(rows):5d}  {shown}   {quantiles}  {inside:4.0%}"


if __name__ == "__main__":
    main()
