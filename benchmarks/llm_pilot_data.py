"""The servers measured by LLM-Pilot: models, devices, and medians by number of users."""

import csv
from collections.abc import Iterator
from pathlib import Path

from bursar.catalog import Device, ModelSpec, device, model
from bursar.catalog.models import Attention, Mlp
from bursar.cost.users import Instance, MeasuredUsers, instance_of
from bursar.errors import BadInput

PROMPT_MEDIAN = 85.0
"""Input tokens of the median request: 84 to 86 in every run."""
TOKENS_OUT = 19.0
"""Mean output tokens of a request over all runs."""

DEVICES = {
    "T4": "t4",
    "V100": "v100-pcie",
    "A10": "a10",
    "A100": "a100-pcie-40gb",
    "H100": "h100-sxm",
}
WITHOUT_BRIDGE = {"A100": 64e9}
"""The A100s have no NVLink (gpu_features.csv): PCIe 4 x16, both ways."""

NAMES = {
    "llama-7b": "llama-2-7b",  # the shapes of Llama 1 and 2 are the same
    "llama-13b": "llama-2-13b",
    "EleutherAI/gpt-neox-20b": "gpt-neox-20b",
    "bigcode/starcoder": "starcoder-15b",
    "ibm/mpt-7b-instruct2": "mpt-7b",
    "Salesforce/codegen2-16B": "codegen2-16b",
}
FUSED = ("llama-7b", "llama-13b", "EleutherAI/gpt-neox-20b", "bigcode/starcoder")
"""Served with fused attention (`model_is_flash_attention` of llm_features.csv)."""

ENCODERS = {  # hidden, layers, heads, width of a head, inner, vocabulary: config.json of each
    "google/flan-t5-xl": (2048, 24, 32, 64, 5120, 32128),
    "google/flan-t5-xxl": (4096, 24, 64, 64, 10240, 32128),
    "google/flan-ul2": (4096, 32, 16, 256, 16384, 32128),
    "bigscience/mt0-xxl": (4096, 24, 64, 64, 10240, 250112),
}


def instance(name: str, gpu: str) -> Instance:
    """A model on a profile, "2 x A10"."""
    count, _, kind = gpu.split(" ")
    if kind not in DEVICES or (name not in NAMES and name not in ENCODERS):
        raise BadInput(f"{name} on {gpu} is not among the models and devices of this benchmark")
    runs_on: Device = device(DEVICES[kind])
    if kind in WITHOUT_BRIDGE:
        runs_on = runs_on.model_copy(update={"link_bytes_per_second": WITHOUT_BRIDGE[kind]})
    if name in NAMES:
        return instance_of(model(NAMES[name]), runs_on, int(count), padded=name not in FUSED)
    decoder, encoder = _encoder_decoder(name)
    return instance_of(decoder, runs_on, int(count), padded=True, encoder=encoder)


def _encoder_decoder(name: str) -> tuple[ModelSpec, ModelSpec]:
    hidden, layers, heads, width, inner, vocabulary = ENCODERS[name]
    attention = Attention(layers, heads, heads, width, width)
    feed_forward = Mlp(layers, inner)
    return (
        ModelSpec(name, hidden, vocabulary, (attention, attention, feed_forward)),
        ModelSpec(f"{name} encoder", hidden, 1, (attention, feed_forward)),
    )


def derived(folder: Path) -> Iterator[MeasuredUsers]:
    """From `aggregate_derived.csv`, which has neither median that the rules ask for.

    Its `ttft_p50` is the first event of the connection, not the first token, and its `itl_p50` the
    median request, not token. The wait for the first token is taken by Little's law from the
    answers in the time of the run: users x seconds / requests, less the rest of the answer.
    """
    for row in _rows(folder / "aggregate_derived.csv"):
        users, requests = float(row["num_users"]), float(row["n"])
        between = float(row["itl_p50"]) / 1e3
        later = (float(row["out_tok"]) / requests - 1.0) * between
        whole = users * float(row["exp_s"]) / requests
        gpu = f"{row['n_gpus']} x {row['gpu_type']}"
        first = max(whole - later, between)
        one = instance(row["model"], gpu)
        yield MeasuredUsers(row["model"], gpu, one, users, first, between)


def published(file: Path) -> Iterator[MeasuredUsers]:
    """From a file of published predictions (`expected_predictions_*.csv`), which has the medians.

    The rules limit the median of time to first token per input token; here it is times the median
    prompt, and so is its limit.
    """
    for row in _rows(file):
        name, gpu = row["model"], row["gpu"]
        first = float(row["median_nttft"]) * PROMPT_MEDIAN / 1e3
        users, between = float(row["num_users"]), float(row["median_itl"]) / 1e3
        yield MeasuredUsers(name, gpu, instance(name, gpu), users, first, between)


def prices(folder: Path) -> dict[str, float]:
    """Dollars an hour of each profile."""
    return {row["GPU"]: float(row["price"]) for row in _rows(folder / "prices.csv")}


def peers(folder: Path) -> dict[str, dict[str, float]]:
    """What the paper's repository publishes: success and overspend as shares, and the score."""
    return {
        row[""]: {
            "success": float(row["success_rate"]) / 100.0,
            "overspend": float(row["overspend"]) / 100.0,
            "score": float(row["so_score"]),
        }
        for row in _rows(folder / "expected_recommendation_scores.csv")
    }


def _rows(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))
    except OSError as error:
        raise BadInput(f"can't read {file}: {error.strerror}; see --help") from None
