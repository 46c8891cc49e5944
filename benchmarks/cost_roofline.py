"""How far the roofline tier is from servers that were measured; fits `bursar.cost.MEASURED`.

    python benchmarks/cost_roofline.py [--fit]

Reads `measured_end_to_end.csv` of the recorded data (../shared/data/serving). Pairs of (model,
device) are split in two halves by a hash; with `--fit` the global efficiency is fitted on one half.
The error is reported on the other, which the fit never saw, and on another source altogether:
Splitwise's Llama-2-70B, with measured power. Writes results/cost_roofline.json.
"""

import argparse
import csv
import hashlib
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from bursar import catalog
from bursar.cost import DATASHEET, MEASURED, Deployment, Efficiency, joules, step_arrays
from bursar.cost.request import decode_steps
from bursar.errors import BadInput

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "../shared/data/serving/measured_end_to_end.csv"
SPLITWISE = DATA.parent / "splitwise_perf_model.csv"
RESULT = ROOT / "benchmarks/results/cost_roofline.json"
DTYPES = {"": "bf16", "bf16": "bf16", "fp8": "fp8", "fp4": "fp4"}
FITTED = (
    "compute",
    "memory",
    "link",
    "seconds_per_layer",
    "seconds_per_collective",
    "seconds_per_request",
    "queue",
)


@dataclass(frozen=True)
class Point:
    """One measured server: median or mean times in seconds, as the source gives them."""

    deployment: Deployment
    backend: str
    tokens_in: int
    tokens_out: int
    batch: int
    ttft: float
    tpot: float

    @property
    def group(self) -> str:
        return f"{self.deployment.model.name} on {self.deployment.device.name}"

    @property
    def held_out(self) -> bool:
        return hashlib.sha256(self.group.encode()).digest()[0] % 2 == 1


def read_points(path: Path = DATA) -> tuple[list[Point], dict[str, int]]:
    """The points this model can speak of, and how many rows were left out, by reason."""
    points: dict[tuple[object, ...], Point] = {}
    left_out: dict[str, int] = {}
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found = _point(row)
            if isinstance(found, str):
                left_out[found] = left_out.get(found, 0) + 1
                continue
            key = (found.group, found.backend, found.deployment.tp, found.deployment.dp)
            key = (*key, found.deployment.dtype, found.batch, found.ttft, found.tpot)
            if key in points:
                left_out["the same run again"] = left_out.get("the same run again", 0) + 1
            points[key] = found
    return list(points.values()), left_out


def _point(row: dict[str, str]) -> Point | str:
    if row["mode"] != "agg":
        return "prefill and decode on different devices"
    number = {k: int(row[k] or 1) for k in ("tp_size", "pp_size", "attention_dp_size")}
    tp, pp, dp = number.values()
    split, expert = int(row["moe_tp_size"] or 1), int(row["moe_ep_size"] or 1)
    if (split > 1 and expert > 1) or tp * dp > 8:
        return "the number of devices is ambiguous"
    try:
        model = catalog.model(row["model_path"].removesuffix("-NVFP4").removesuffix("-FP8"))
        device = catalog.device(row["system"])
    except BadInput as error:
        return str(error)[:60]
    deployment = Deployment(model, device, tp=tp, pp=pp, dp=dp, dtype=DTYPES[row["precision"]])
    return Point(
        deployment,
        row["backend"],
        int(row["isl"]),
        int(row["osl"]),
        int(row["batch_size"]) * dp,
        float(row["silicon_ttft_ms"]) / 1e3,
        float(row["silicon_tpot_ms"]) / 1e3,
    )


def predict(point: Point, efficiency: Efficiency) -> tuple[float, float]:
    """(TTFT, TPOT) in seconds as `request_cost` has them, decoding at the mean context."""
    place = replace(point.deployment, efficiency=efficiency)
    prefill = float(step_arrays(place, point.tokens_in, 0).seconds)
    context = point.tokens_in + (point.tokens_out - 1) / 2
    decode = decode_steps(place, point.tokens_in, point.tokens_out, point.batch, context)
    waited = 1.0 + efficiency.queue * (point.batch - 1)
    return efficiency.seconds_per_request + prefill * waited, float(decode.seconds)


def fit(points: list[Point], *, sample: int, seed: int) -> Efficiency:
    """Global factors by least squares of log(predicted / measured), robust to outliers.

    Each (model, device) weighs the same. TTFT weighs a third of TPOT: sources measure it in
    different ways.
    """
    rng = np.random.default_rng(seed)
    weights = 1.0 / np.array([sum(p.group == q.group for q in points) for p in points])
    size = min(sample, len(points))
    chosen = rng.choice(len(points), size=size, replace=False, p=weights / weights.sum())
    some = [points[i] for i in chosen]
    scale = np.array([1.0, 1.0, 1.0, 1e-5, 1e-5, 1e-1, 1e-1])

    def efficiency_at(x: np.ndarray) -> Efficiency:
        return Efficiency(**dict(zip(FITTED, map(float, x * scale), strict=True)))

    def residuals(x: np.ndarray) -> np.ndarray:
        at = efficiency_at(x)
        ratios = np.array([np.divide(predict(p, at), (p.ttft, p.tpot)) for p in some])
        return (np.log(ratios) * (1 / 3, 1.0)).ravel()

    found = least_squares(
        residuals,
        x0=[0.5, 0.6, 0.3, 2.0, 1.0, 0.5, 0.6],
        bounds=([0.05, 0.05, 0.05, 0, 0, 0, 0], [1, 1, 1, 20, 10, 5, 10]),
        loss="soft_l1",
        f_scale=0.2,
        diff_step=1e-3,
    )
    return efficiency_at(found.x)


def report(points: list[Point], efficiency: Efficiency) -> dict[str, object]:
    """Median absolute relative errors, and the quantiles of measured over predicted."""
    predicted = np.array([predict(p, efficiency) for p in points])
    measured = np.array([(p.ttft, p.tpot) for p in points])
    ratio, error = measured / predicted, np.abs(predicted / measured - 1.0)
    inside = (ratio[:, 1] >= efficiency.low) & (ratio[:, 1] <= efficiency.high)
    names = np.array([p.group for p in points])
    quantiles = np.quantile(ratio, [0.1, 0.5, 0.9], axis=0).round(3)
    by_group = {
        str(name): {
            "points": int((names == name).sum()),
            "tpot": round(float(np.median(error[names == name, 1])), 3),
        }
        for name in sorted(set(names))
    }
    return {
        "points": len(points),
        "tpot_median_error": round(float(np.median(error[:, 1])), 4),
        "ttft_median_error": round(float(np.median(error[:, 0])), 4),
        "tpot_measured_over_predicted_p10_p50_p90": quantiles[:, 1].tolist(),
        "ttft_measured_over_predicted_p10_p50_p90": quantiles[:, 0].tolist(),
        "tpot_share_inside_low_high": round(float(inside.mean()), 4),
        "median_error_by_group": by_group,
    }


def splitwise(efficiency: Efficiency, path: Path = SPLITWISE) -> dict[str, object]:
    """Median errors of single prompts and tokens of Llama-2-70B in BF16, and of power on A100."""
    ratios: dict[str, list[float]] = {}
    with path.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["model"] == "llama2-70b"]
    for row in rows:
        name = {"a100-80gb": "a100-sxm-80gb", "h100-80gb": "h100-sxm"}.get(row["hardware"])
        if name is None:  # a capped H100, derived and not measured
            continue
        model, tp = catalog.model("llama-2-70b"), int(row["tensor_parallel"])
        place = Deployment(model, catalog.device(name), tp=tp, efficiency=efficiency)
        prompt, batch, out = (int(row[k]) for k in ("prompt_size", "batch_size", "token_size"))
        prefill = step_arrays(place, prompt, 0, batch)
        decode = step_arrays(place, 1, prompt + out / 2, batch)
        for part, steps in (("prompt", prefill), ("token", decode)):
            measured = float(row[f"{part}_time"]) / 1e3
            ratios.setdefault(f"{name} {part}", []).append(float(steps.seconds) / measured)
        if (share := float(row["average_power"] or 0)) > 0:
            energy = float(joules(place, prefill)) + out * float(joules(place, decode))
            seconds = float(prefill.seconds) + out * float(decode.seconds)
            watts = energy / seconds / tp
            ratios.setdefault(f"{name} watts", []).append(watts / share / place.device.tdp_watts)
    return {
        name: {
            "points": len(found),
            "median_error": round(float(np.median(np.abs(np.array(found) - 1))), 4),
            "median_predicted_over_measured": round(float(np.median(found)), 3),
        }
        for name, found in sorted(ratios.items())
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", action="store_true", help="fit anew instead of using MEASURED")
    parser.add_argument("--sample", type=int, default=300, help="points the fit uses")
    args = parser.parse_args()
    if not DATA.exists():
        raise SystemExit(f"the recorded data is not at {os.path.relpath(DATA)}")
    points, left_out = read_points()
    known = [p for p in points if not p.held_out]
    unseen = [p for p in points if p.held_out]
    efficiency = fit(known, sample=args.sample, seed=0) if args.fit else MEASURED
    if args.fit:
        ratio = [p.tpot / predict(p, efficiency)[1] for p in known]
        low, high = np.quantile(ratio, [0.05, 0.95])
        efficiency = replace(efficiency, low=min(1.0, float(low)), high=max(1.0, float(high)))
    result = {
        "command": "python benchmarks/cost_roofline.py" + (" --fit" if args.fit else ""),
        "efficiency": asdict(efficiency),
        "fitted_half": report(known, efficiency),
        "held_out_half": report(unseen, efficiency),
        "datasheet_bound_on_held_out": report(unseen, DATASHEET),
        "rows_left_out": left_out,
        "splitwise_llama_2_70b": splitwise(efficiency),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
