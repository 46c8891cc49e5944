"""A mixture of experts with its weights in the CPU's memory, step by step on PCIe, GPU and CPU.

In each step every layer's weights pass PCIe into one of two places on the GPU. Each half of the
requests goes through a layer on the GPU, on the CPU for attention, and on the GPU again.
"""

from functools import lru_cache

import numpy as np

from bursar.cost.moe_lens import GPU_LAYERS, HybridMachine, OfflineWork, Waves
from bursar.errors import Infeasible
from bursar.simulate.lanes import Task, run_lanes

_HALVES = 2


def play_waves(machine: HybridMachine, work: OfflineWork, waves: Waves) -> float:
    """Seconds until all of `work` is answered.

    Raises `Infeasible` when the keys and values of a step need more blocks than there are.
    """
    starts = np.arange(len(waves.sizes)) * work.generated // waves.overlap
    sizes = np.array(waves.sizes)
    seconds = 0.0
    for step in range(int(starts[-1]) + work.generated):
        age = step - starts
        entering, decoding = age == 0, (age > 0) & (age < work.generated)
        held = work.prompt + age + 1
        there = entering | decoding
        blocks = int((sizes * -(-held // machine.block_tokens))[there].sum())
        if blocks > machine.kv_blocks:
            raise Infeasible(
                f"step {step} needs {blocks} blocks of {machine.kv_blocks}: "
                f"{blocks - machine.kv_blocks} too many; make the waves smaller"
            )
        tokens = int(sizes[entering].sum()) * work.prompt + int(sizes[decoding].sum())
        seconds += _step_seconds(machine, tokens, int((sizes * held)[decoding].sum()))
    return seconds


@lru_cache(maxsize=4096)
def _step_seconds(machine: HybridMachine, tokens: int, attended: int) -> float:
    """A step of `tokens` new tokens that attends to `attended` tokens on the CPU.

    The first layer's weights are there; the step ends when they are there again for the next.
    """
    gpu = tokens * machine.gpu_token_seconds / _HALVES
    cpu = attended * machine.cpu_token_seconds / _HALVES
    share = machine.before_attention
    tasks: list[Task] = []

    def add(
        lane: str, seconds: float, after: tuple[int, ...], takes: float = 0.0, frees: float = 0.0
    ) -> int:
        tasks.append(Task(lane, seconds, after, takes_bytes=takes, frees_bytes=frees))
        return len(tasks) - 1

    seen = [add("cpu", cpu, (add("gpu", gpu * share, ()),)) for _ in range(_HALVES)]
    for layer in range(machine.layers):
        following = add("pcie", machine.load_seconds, (), takes=machine.layer_weight_bytes)
        passed: tuple[int, ...] = ()
        for half in range(_HALVES):
            frees = machine.layer_weight_bytes if half == _HALVES - 1 else 0.0
            done = add("gpu", gpu * (1 - share), (seen[half], *passed), frees=frees)
            passed = (done,)
            if layer < machine.layers - 1:  # first in line, so that the CPU has work soon
                before = add("gpu", gpu * share, (done, following))
                seen[half] = add("cpu", cpu, (before,))
    room = GPU_LAYERS * machine.layer_weight_bytes
    held = machine.layer_weight_bytes
    return run_lanes(tasks, memory_bytes=room, held_bytes=held).makespan_seconds
