"""MoE-Lens: how fast a mixture of experts can run with its weights in the CPU's memory.

Paper: Yichao Yuan, Lin Ma, Nishil Talati, "MoE-Lens: Towards the Hardware Limit of High-Throughput
    MoE LLM Serving Under Resource Constraints", 2025, arXiv:2504.09345; sections 4 and 5 (bound
    from memory, compute and workload; prediction with scheduling and paged cache).
Symbols: delta -> load_seconds * layers; p -> prompt; g -> generated; K -> requests; b ->
    block_tokens; PME -> 1 / mean tokens held by a request.
Differs: written from the paper's description of its two stages, the formulas derived anew.
    Requests are all of one length, and enter in equal waves, evenly spaced; PCIe's way back (keys
    and values of prompts) is free; GPU work is in proportion to tokens.
Checked: tests/papers/test_moe_lens.py: throughput within 10 % of execution event by event in 30
    configurations limited by memory, GPU or CPU; the plan made from it beats the best fixed batch
    in every one that memory limits, and gains nothing where the GPU does.
Seed: 26
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from bursar.errors import BadInput

Floats = NDArray[np.float64]
GPU_LAYERS = 2
"""Layers whose weights are on the GPU: one computes while the next arrives."""


@dataclass(frozen=True, slots=True)
class HybridMachine:
    """A mixture of experts on a GPU that holds two layers of it, and a CPU that holds the rest.

    Every step brings all layers over PCIe. The GPU multiplies matrices, the CPU attends to the
    keys and values in its memory. The requests are in two halves: while the CPU attends for one,
    the GPU multiplies for the other.
    """

    layers: int
    layer_weight_bytes: float
    layer_kv_bytes: float
    """Keys and values of one token."""
    layer_token_flops: float
    """Of the experts that a token is routed to, and of the projections."""
    pcie_bytes_per_second: float
    gpu_flops_per_second: float
    cpu_bytes_per_second: float
    kv_memory_bytes: float
    block_tokens: int = 16
    before_attention: float = 0.1
    """Share of a layer's matrices that come before attention."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise BadInput(f"{field.name} is {getattr(self, field.name)}, it must be above 0")

    @property
    def load_seconds(self) -> float:
        """One layer's weights over PCIe."""
        return self.layer_weight_bytes / self.pcie_bytes_per_second

    @property
    def gpu_token_seconds(self) -> float:
        """One token's matrices in one layer."""
        return self.layer_token_flops / self.gpu_flops_per_second

    @property
    def cpu_token_seconds(self) -> float:
        """Attention to one token that is held, in one layer."""
        return self.layer_kv_bytes / self.cpu_bytes_per_second

    def step_seconds(self, gpu_seconds: Floats, cpu_seconds: Floats) -> Floats:
        """A step whose layers need so much of GPU and CPU each.

        The slowest of: PCIe; the GPU, which first waits for attention; the CPU, which at the end
        is waited for; and the two places on the GPU, each taken from the begin of a load until both
        halves have passed.
        """
        gpu, cpu = gpu_seconds / 2, cpu_seconds / 2  # of one half
        before, after = self.before_attention * gpu, (1 - self.before_attention) * gpu
        passed = np.maximum(gpu + 2 * cpu, before + np.maximum(before, cpu) + 2 * after)
        slowest: Floats = np.maximum.reduce(
            [
                np.full_like(gpu, self.layers * self.load_seconds),
                self.layers * gpu_seconds + np.maximum(cpu - before, 0.0),
                self.layers * cpu_seconds + gpu,
                self.layers * (self.load_seconds + passed) / GPU_LAYERS,
            ]
        )
        return slowest

    @property
    def kv_blocks(self) -> int:
        """Blocks of the cache that memory holds."""
        block = self.layer_kv_bytes * self.layers * self.block_tokens
        return int(self.kv_memory_bytes / block)


@dataclass(frozen=True, slots=True)
class OfflineWork:
    """`requests` of `prompt` tokens each, all there at once, to be answered with `generated`."""

    requests: int
    prompt: int
    generated: int

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise BadInput(f"{field.name} is {getattr(self, field.name)}, it must be >= 1")


@dataclass(frozen=True, slots=True)
class Waves:
    """Wave i enters at step floor(i * generated / overlap), so that `overlap` of them are there.

    With `overlap` 1 it is a fixed batch: the next enters when the last one is done.
    """

    sizes: tuple[int, ...]
    """Requests of each wave."""
    overlap: int


@dataclass(frozen=True, slots=True)
class MoeLens:
    """Predicts tokens a second of `machine`."""

    machine: HybridMachine

    def bound(self, work: OfflineWork) -> dict[str, float]:
        """Generated tokens a second that memory, GPU and CPU allow; the least is the bound.

        Memory holds requests of all ages, each its prompt and on average half of its answer, and
        gives one token to each while all weights pass PCIe once.
        """
        m = self.machine
        held = work.prompt + (work.generated + 1) / 2
        requests = m.kv_blocks * m.block_tokens / (held + (m.block_tokens - 1) / 2)
        return {
            "memory": requests / (m.layers * m.load_seconds),
            "gpu": 1 / (m.layers * m.gpu_token_seconds * (1 + work.prompt / work.generated)),
            "cpu": 1 / (m.layers * m.cpu_token_seconds * held),
        }

    def throughput(self, work: OfflineWork, waves: Waves) -> float:
        """Generated tokens a second of a plan, entering and leaving included."""
        return work.requests * work.generated / self.seconds(work, waves)

    def seconds(self, work: OfflineWork, waves: Waves) -> float:
        """Seconds of a plan: its steps, each its layers.

        Between two entries the same waves are there, each in another part of its answer.
        """
        m, sizes = self.machine, np.array(waves.sizes, dtype=float)
        part = work.generated / waves.overlap  # steps between two entries
        entry = np.arange(len(sizes) + waves.overlap - 1)[:, None]
        wave = entry - np.arange(waves.overlap)  # (entries, ages): which wave has which age
        there = np.where((wave >= 0) & (wave < len(sizes)), sizes[wave % len(sizes)], 0.0)
        held = work.prompt + np.arange(waves.overlap) * part + (part + 1) / 2
        requests = there.sum(axis=1)
        gpu = m.gpu_token_seconds * requests
        cpu = m.cpu_token_seconds * (there * held).sum(axis=1)
        # in the first step of its life a wave is prefilled, on the GPU
        entering = gpu + m.gpu_token_seconds * there[:, 0] * (work.prompt - 1)
        steps = (part - 1) * m.step_seconds(gpu, cpu) + m.step_seconds(entering, cpu)
        return float(steps.sum())
