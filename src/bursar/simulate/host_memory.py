"""FastSwitch: caches go to the host in groups of blocks, beside the steps, and only what is new.

Paper: Ao Shen, Zhiyao Li, Mingyu Gao, "FastSwitch: Optimizing Context Switching Efficiency in
    Fairness-aware Large Language Model Serving", 2024, arXiv:2411.18424; section 3 (dynamic block
    groups, asynchronous swapping, reuse of KV caches).
Symbols: initial block group size -> group_blocks; asynchronous swap -> overlapped; KV cache reuse
    -> keeps_copies.
Differs: everything goes over one link, one transfer after the other, without the choice between
    asynchronous and synchronous swapping step by step; a group is stolen from the longest unused
    rest instead of a random one; the host's memory is not fragmented; a step that needs blocks
    which are still being copied away waits for that transfer; priorities change every so many
    seconds, not steps (policies/batching/priorities.py).
Checked: tests/papers/test_fast_switch.py: conversations whose priorities change every two seconds,
    70 users, three seeds: less than a tenth of the copy operations of swapping block by block, the
    99th percentile of the time to the first token below 0.6 of it, Jain's index of the users' rates
    no lower; each block of a conversation goes to the host once, however often it is swapped.
Seed: 125
"""

from __future__ import annotations

from dataclasses import dataclass

from bursar.catalog.models import Attention, LatentAttention
from bursar.cost import Deployment
from bursar.cost.work import kv_cache_bytes
from bursar.errors import BadInput, Infeasible


@dataclass(frozen=True, slots=True)
class HostMemory:
    """Memory beside a device that its caches can be swapped to, and the link between the two.

    Copying takes `block_seconds` for each block and `operation_seconds` for each copy operation.
    The usual settings are those of an engine that swaps block by block while nothing else runs.
    Raises `BadInput` for a memory without blocks or a negative time.
    """

    blocks: int
    block_seconds: float
    operation_seconds: float = 0.0
    group_blocks: int = 1
    """Neighbouring blocks that a job is given at once if it can be, and that are copied at once."""
    overlapped: bool = False
    """Whether steps go on while caches are copied. A job is back when its transfer is done."""
    keeps_copies: bool = False
    """Whether what came back stays here while there is room, and need not be sent again."""

    def __post_init__(self) -> None:
        for name in ("blocks", "group_blocks"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} = {getattr(self, name)}; must be 1 or more")
        for name in ("block_seconds", "operation_seconds"):
            if not getattr(self, name) >= 0:
                raise BadInput(f"{name} = {getattr(self, name)}; must be 0 or more")


def host_memory_of(
    deployment: Deployment,
    memory_bytes: float,
    bytes_per_second: float,
    seconds_per_copy: float,
    *,
    block_tokens: int = 16,
) -> HostMemory:
    """So much memory for each device of a deployment, behind a link of its own.

    A layer's keys and values are two copies of `seconds_per_copy` latency, latent ones a single
    copy. Raises `BadInput` unless the link carries bytes, `Infeasible` when no block fits.
    """
    if not bytes_per_second > 0:
        raise BadInput(f"bytes_per_second = {bytes_per_second}; a link must have more than 0")
    model = deployment.model
    one, two = (
        float(kv_cache_bytes(model, n, deployment.kv_dtype, tp=deployment.tp)) for n in (1, 2)
    )
    block_bytes = block_tokens * (two - one)  # two tokens are within every window
    if not 0 < block_bytes <= memory_bytes:
        raise Infeasible(
            f"a block of {block_tokens} tokens of {model.name} has {block_bytes:.0f} bytes, the "
            f"host {memory_bytes:.0f}: give more memory, or a model whose cache grows"
        )
    copies = sum(
        block.count * (1 if isinstance(block, LatentAttention) else 2)
        for block in model.blocks
        if isinstance(block, Attention | LatentAttention)
    )
    return HostMemory(
        int(memory_bytes // block_bytes), block_bytes / bytes_per_second, copies * seconds_per_copy
    )
