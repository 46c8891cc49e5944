"""Who takes part in the next step of a diffusion language model."""

from collections.abc import Callable

from bursar.policies.diffusion.base import (
    Denoise,
    DiffusionDecision,
    DiffusionPolicy,
    DiffusionState,
)
from bursar.policies.diffusion.dllm_serve import DllmServe
from bursar.policies.diffusion.fcfs import Fcfs

DIFFUSION: dict[str, Callable[[], DiffusionPolicy]] = {"fcfs": Fcfs, "dllm_serve": DllmServe}
"""Name -> what makes the policy with its usual settings."""

__all__ = [
    "DIFFUSION",
    "Denoise",
    "DiffusionDecision",
    "DiffusionPolicy",
    "DiffusionState",
    "DllmServe",
    "Fcfs",
]
