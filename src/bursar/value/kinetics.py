"""Kinetics choice: which model, how long, how often and how sparse, by memory-aware cost.

Paper: Ranajoy Sadhukhan, Zhuoming Chen, Haizhong Zheng, Yang Zhou, Emma Strubell, Beidi Chen,
    "Kinetics: Rethinking Test-Time Scaling Laws", 2025, arXiv:2506.05333; sections 3-4.
Symbols: N -> deployments; n -> tokens; T -> samples; B -> kept; C(N, n, T, B) -> Menu.cost.
Differs: a question costs its share of the seconds of steps that a full batch takes on the named
    device (`cost.step_arrays`, so weights are read too, once for all rows, and memory bounds the
    rows), not eFLOPs (`cost.Kinetics`); sparse attention reads the mean keys of blocks to choose.
Checked: tests/papers/test_kinetics_choice.py: on a device of the catalogue KV reads overtake
    parameters past a computed length; at equal real cost the memory-aware choice is a larger model
    and right more often than that by FLOPs; sparse attention raises the frontier.
Seed: 25
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bursar.cost import Deployment, max_sequences, step_arrays
from bursar.value.base import Floats
from bursar.value.settings import Menu, menu, whole

POINTS = 16
"""Contexts at which a text's steps are priced: their cost is nearly straight in the context."""


@dataclass(frozen=True, slots=True)
class KineticsChoice:
    """One deployment per model, all on one device; prompts of `tokens_in`; rows in flight as memory
    allows, at most `rows`. `block`: sparse attention scores the mean keys of so many entries.
    """

    deployments: Sequence[Deployment]
    tokens_in: int
    rows: int = 256
    block: int = 16

    def menu(
        self,
        tokens: Sequence[int],
        samples: Sequence[int],
        value: ArrayLike,
        kept: Sequence[int | None] = (None,),
        *,
        memory: bool = True,
    ) -> Menu:
        """Settings with `value` (models, tokens, samples[, kept]) and their cost in seconds of the
        device per question; infinite where not one row fits.

        With `memory` False a question costs its FLOPs at the device's peak rate, as where memory is
        free: what the choice is measured against.
        """
        lengths, times = whole("tokens", tokens), whole("samples", samples)
        once = np.array(
            [
                [[self._seconds(place, int(n), k, memory) for k in kept] for n in lengths]
                for place in self.deployments
            ]
        )
        cost: Floats = once[:, :, None, :] * times[None, None, :, None]
        return menu(self.deployments, tokens, samples, kept, value, cost)

    def _seconds(self, place: Deployment, tokens: int, kept: int | None, memory: bool) -> float:
        """One sample's share of the steps that decode it, in seconds of all devices together."""
        held = max_sequences(place, self.tokens_in + tokens)
        rows = self.rows if held is None else min(held, self.rows)
        if rows < 1:
            return np.inf
        context = self.tokens_in + tokens * (np.arange(POINTS) + 0.5) / POINTS
        attended = context
        if kept is not None:
            # a mean key is half an entry: it has no value beside it
            attended = np.minimum(context, np.minimum(context, kept) + context / self.block / 2)
        steps = step_arrays(place, 1.0, attended[:, None], float(rows))
        if memory:
            return float(steps.device_seconds.mean()) / rows * tokens
        rate = place.device.flops_per_second(place.dtype)
        return float(steps.flops.mean()) / rows * tokens / rate


def overtaking_context(place: Deployment) -> float:
    """Context past which a row's step takes longer to read its cache than to multiply it by the
    weights, at the datasheet's rates and in a batch so large that weights are read for nothing.

    2 P / FLOPs per second = context x KV bytes per token / bytes per second.
    """
    model, device = place.model, place.device
    per_token = model.kv_bytes_per_token()
    bandwidth = device.memory_bytes_per_second or np.nan
    multiply = 2.0 * model.active_parameters / device.flops_per_second(place.dtype)
    return float(multiply * bandwidth / per_token)
