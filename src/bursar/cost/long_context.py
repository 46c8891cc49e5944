"""Long-context peak analysis: users, prefill, decode and switching, all from the size of the cache.

Paper: Yao Fu, "Challenges in Deploying Long-Context Transformers: A Theoretical Peak Performance
    Analysis", 2024, arXiv:2405.08944; section 2.
Symbols: sequence length -> context; KV cache -> Peak.kv_bytes; concurrency -> Peak.users;
    prefilling -> prefill_seconds; decoding -> decode_seconds; context switching -> switch_seconds;
    PCIe bandwidth -> host_bytes_per_second.
Differs: attention of the prompt is counted pair by pair under the causal mask, which gives 18 s for
    34 billion parameters and 50K tokens on an A100 where the paper has 14.1; a tenth of the
    memory is kept back, so that one A100 holds no such user (the paper: one); caches are divided
    over `tp` devices, each with a host link of its own.
Checked: tests/papers/test_long_context.py: 34 billion parameters at 50K on A100s: bytes as counted
    by hand; users and transfers within 5 % of the simulator's, with 1 to 56 heads
    of keys and values.
Seed: 118
"""

from dataclasses import dataclass

import numpy as np

from bursar.cost.deployment import Deployment
from bursar.cost.memory import max_sequences, memory_bytes
from bursar.cost.step import step_arrays
from bursar.cost.work import kv_cache_bytes
from bursar.errors import BadInput, Infeasible


@dataclass(frozen=True, slots=True)
class Peak:
    """What one context length allows at best.

    `kv_bytes` of one user on all devices together; `users` whose caches fit beside the weights;
    `prefill_seconds` of one prompt; `decode_seconds` of one answer, alone; `switch_seconds` to move
    one user's cache out and another's in.
    """

    kv_bytes: float
    users: int
    prefill_seconds: float
    decode_seconds: float
    switch_seconds: float


@dataclass(frozen=True, slots=True)
class LongContext:
    """A deployment whose overflowing caches go to the host's memory.

    `host_bytes_per_second`: one device's link to the host, one way (PCIe 4 x16 reaches about
    20 GB/s). Times are at the deployment's `efficiency`; with `DATASHEET` they are the paper's
    peaks. Pipelines are not modelled.
    """

    deployment: Deployment
    host_bytes_per_second: float = 20e9

    def __post_init__(self) -> None:
        if not self.host_bytes_per_second > 0:
            raise BadInput(f"host link of {self.host_bytes_per_second} bytes/s; must be above 0")
        if self.deployment.pp > 1 or self.deployment.dp > 1:
            raise BadInput(
                f"pp = {self.deployment.pp}, dp = {self.deployment.dp}; the analysis is of one "
                "group of devices that share every layer, use tp"
            )

    def peak(self, context: int, tokens_out: int = 250) -> Peak:
        """Users of `context` tokens each, who get answers of `tokens_out` tokens.

        users = (memory - weights) / KV; prefill = FLOPs / rate; decode = (weights + KV) / bandwidth
        per token; switch = 2 KV / host link. Raises `BadInput` below one token or for a device of
        unknown memory, `Infeasible` where the weights alone do not fit.
        """
        if context < 1 or tokens_out < 1:
            raise BadInput(f"{context} tokens of context, {tokens_out} out; give 1 or more of each")
        place = self.deployment
        cache = float(kv_cache_bytes(place.model, context, place.kv_dtype, tp=place.tp))
        steps = np.arange(tokens_out, dtype=np.float64)
        alone = step_arrays(place, np.ones((tokens_out, 1)), (context + steps)[:, None])
        return Peak(
            kv_bytes=float(kv_cache_bytes(place.model, context, place.kv_dtype)),
            users=self._users(context),
            prefill_seconds=float(np.sum(step_arrays(place, context, 0).seconds)),
            decode_seconds=float(np.sum(alone.seconds)),
            switch_seconds=2.0 * cache / self.host_bytes_per_second,
        )

    def _users(self, context: int) -> int:
        place = self.deployment
        users = max_sequences(place, context)
        if users is None:
            raise BadInput(
                f"{place.device.name} has no known memory size, or {place.model.name} no cache; "
                "there is no number of users to tell"
            )
        need = memory_bytes(place, 0, context)
        if need.usable is not None and need.weights > need.usable:
            raise Infeasible(
                f"{place.model.name} in {place.dtype} needs {need.weights / 2**30:.1f} GiB a "
                f"device for its weights, {place.device.name} has {need.usable / 2**30:.1f} to "
                f"use: take more than {place.tp} devices"
            )
        return users
