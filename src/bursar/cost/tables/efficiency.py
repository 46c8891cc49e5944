"""Tier (b): how far from the datasheet an operator runs, with few numbers that carry over.

    seconds = launch (1 + growth log2 devices)
              + ((FLOPs / (peak compute))^p + (bytes / (bandwidth memory))^p)^(1/p)
              + link bytes / (link rate link)

The fixed launch makes the reached share of the peak grow with the size of the work, as it does on
every device; `sharpness` p > 1 rounds the corner of the roofline. In routed experts the fullest
device has (1 + imbalance log2 ep) times its share, and an expert with t tokens computes as if it
had t + `tile`. Coefficients are fitted on tables of several devices (`fit.py`) and read from
`fitted.toml`; `low`, `high` enclose 80 of 100 measurements on a device that was not fitted.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

from bursar.catalog import Device
from bursar.cost.tables.operator import KINDS, Shape, load, peak_flops
from bursar.cost.work import Array
from bursar.errors import BadInput

DRAM_SHARE = 0.92
"""Most of a datasheet's bandwidth that large operators reach; nothing that streams weights or cache
through DRAM is faster. Tables are measured again and again on one matrix, so up to the size of the
second-level cache they would say twice the bandwidth (L40S, RTX PRO 6000)."""

_STREAMS = ("gemm", "moe", "generation_attention", "mixed_attention")


@dataclass(frozen=True, slots=True)
class OperatorFit:
    """Coefficients of one kind of operator, data type and engine; see the head of this file."""

    launch_seconds: float
    compute: float = 1.0
    memory: float = 1.0
    link: float = 1.0
    sharpness: float = 2.0
    growth: float = 0.0
    imbalance: float = 0.0
    tile: float = 0.0
    low: float = 1.0
    high: float = 1.0

    def seconds(self, device: Device, kind: str, dtype: str, shape: Shape) -> Array:
        """Seconds of operators of these shapes on `device`, from its datasheet."""
        work, x = load(kind, dtype, shape), {k: np.asarray(v) for k, v in shape.items()}
        launch, compute = self.launch_seconds, work.flops / peak_flops(device, kind, dtype)
        memory = work.memory_bytes / memory_rate(device)
        if kind == "moe":
            spread = 1.0 + self.imbalance * (x["skew"] > 0) * np.log2(x["ep"])
            filled = 1.0 + self.tile * x["experts"] / (x["tokens"] * x["top_k"])
            compute = compute * spread * filled
        if "devices" not in KINDS[kind].axes:
            return launch + self.busy(compute, memory)
        growth = 1.0 + self.growth * np.log2(x["devices"])
        return np.asarray(launch * growth + work.link_bytes / (link_rate(device) * self.link))

    def busy(self, compute: Array, memory: Array) -> Array:
        """Seconds without the launch, from the seconds at the datasheet's FLOP/s and bandwidth."""
        power = self.sharpness
        sides = (compute / self.compute) ** power + (memory / self.memory) ** power
        return np.asarray(sides ** (1.0 / power))


def cold(device: Device, kind: str, dtype: str, shape: Shape, seconds: Array) -> Array:
    """`seconds`, but no less than streaming what the operator reads from DRAM takes."""
    if kind not in _STREAMS:
        return seconds
    streamed = load(kind, dtype, shape).memory_bytes / (memory_rate(device) * DRAM_SHARE)
    return np.maximum(seconds, streamed)


def memory_rate(device: Device) -> float:
    if device.memory_bytes_per_second is None:
        raise BadInput(f"{device.name} has no known memory bandwidth; choose another")
    return device.memory_bytes_per_second


def link_rate(device: Device) -> float:
    """Bytes a second in one direction."""
    if device.link_bytes_per_second is None:
        raise BadInput(f"{device.name} has no known link; use one device")
    return device.link_bytes_per_second / 2.0


def group(device: Device, kind: str, dtype: str) -> str:
    """What coefficients are shared by: a data type, or for collectives the kind of link."""
    if "devices" in KINDS[kind].axes:
        return "pcie" if (device.link or "").startswith("PCIe") else "fabric"
    return {"fp16": "bf16"}.get(dtype, dtype)


def fitted(device: Device, kind: str, dtype: str, engine: str | None) -> OperatorFit:
    """The coefficients nearest to what is asked: this engine's, any engine's, any data type's."""
    table = shipped()
    wanted = group(device, kind, dtype)
    for key in ((kind, wanted, engine or "any"), (kind, wanted, "any"), (kind, "any", "any")):
        if key in table:
            return table[key]
    raise BadInput(f"no coefficients for {kind}; there are {sorted({k for k, _, _ in table})}")


@cache
def shipped() -> dict[tuple[str, str, str], OperatorFit]:
    """The coefficients in `fitted.toml`, by (kind, group, engine)."""
    text = resources.files("bursar.cost.tables").joinpath("fitted.toml").read_text("utf-8")
    return {
        (kind, which, engine): OperatorFit(**numbers)
        for kind, groups in tomllib.loads(text).items()
        for which, engines in groups.items()
        for engine, numbers in engines.items()
    }
