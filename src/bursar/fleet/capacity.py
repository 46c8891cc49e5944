"""What one instance carries within a latency goal: requests a second, for each size of request.

Steady state of continuous batching, as in `cost.request`: with `batch` requests in flight a
request takes ttft + (out - 1) tpot, so that by Little's law batch / that many leave each second.
More in flight is more throughput until a goal or the memory binds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bursar.cost.deployment import Deployment
from bursar.cost.endtoend import Pool, Served, latencies
from bursar.cost.memory import max_sequences
from bursar.cost.request import decode_steps
from bursar.cost.step import joules
from bursar.errors import BadInput

Array = NDArray[np.float64]
BATCHES = np.unique(np.rint(2.0 ** np.arange(0, 10.5, 0.5)))
"""Numbers in flight that are looked at: 1 to 1024 in steps of a half power of two."""
BINDS = ("ttft", "tpot", "memory", "batch")


@dataclass(frozen=True, slots=True)
class Goal:
    """Most seconds to the first token, and between tokens; None: as long as it likes."""

    ttft_s: float | None = None
    tpot_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("ttft_s", "tpot_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise BadInput(f"{name} = {value}: a goal must be above zero, or left out")

    def part(self, share: float) -> Goal:
        """A goal of `share` of the times."""
        return Goal(*(None if x is None else share * x for x in (self.ttft_s, self.tpot_s)))


@dataclass(frozen=True, slots=True, eq=False)
class Capacity:
    """Per size of request, arrays (sizes,)."""

    requests_per_second: Array
    """0 where even one request at a time misses the goal or does not fit."""
    batch: Array
    ttft_s: Array
    tpot_s: Array
    watts: Array
    """What all devices of the instance draw so; NaN where the device's power is not known."""
    binds: tuple[str, ...]
    """What forbids more in flight: one of `BINDS`."""


def capacity(
    deployment: Deployment,
    tokens_in: ArrayLike,
    tokens_out: ArrayLike,
    goal: Goal,
    *,
    max_batch: int = 1024,
) -> Capacity:
    """The best of `BATCHES` up to `max_batch` for requests of each size, alone on the instance."""
    prompt, out = np.broadcast_arrays(
        np.atleast_1d(np.asarray(tokens_in, dtype=np.float64)),
        np.atleast_1d(np.asarray(tokens_out, dtype=np.float64)),
    )
    batches = BATCHES[: np.searchsorted(BATCHES, max_batch, side="right")]
    first, between, watts = _steady(deployment, prompt, out, batches)
    limits = {
        "ttft": np.full_like(first, False) if goal.ttft_s is None else first > goal.ttft_s,
        "tpot": np.full_like(first, False) if goal.tpot_s is None else between > goal.tpot_s,
        "memory": _too_large(deployment, prompt + out, batches),
    }
    missed = np.any(np.stack(list(limits.values())), axis=0)
    rate = batches / (first + np.maximum(out[:, None] - 1, 0) * between)
    best = np.argmax(np.where(missed, 0.0, rate), axis=1)
    sizes = np.arange(len(prompt))
    served = ~missed[sizes, best]
    beyond = np.minimum(best + served, len(batches) - 1)
    binds = tuple(
        next((name for name, over in limits.items() if over[i, j]), "batch")
        for i, j in zip(sizes, beyond, strict=True)
    )
    return Capacity(
        np.where(served, rate[sizes, best], 0.0),
        np.where(served, batches[best], 0.0),
        first[sizes, best],
        between[sizes, best],
        watts[sizes, best],
        binds,
    )


def _steady(
    deployment: Deployment, prompt: Array, out: Array, batches: Array
) -> tuple[Array, Array, Array]:
    """(sizes, batches) seconds to the first token and between tokens, and watts, in mid-answer."""
    load = Served(Pool(deployment), batches, prompt[:, None], np.maximum(out, 2.0)[:, None])
    first, between, _ = latencies(load)
    middle = prompt + out / 2
    steps = decode_steps(deployment, prompt[:, None], out[:, None], batches, middle[:, None])
    used = joules(deployment, steps)
    if used is None:
        return first, between, np.full_like(between, np.nan)
    # joules are those of one of the full stages
    return first, between, np.asarray(deployment.pp * used / steps.seconds)


def _too_large(deployment: Deployment, context: Array, batches: Array) -> NDArray[np.bool_]:
    """(sizes, batches) whether so many requests of that length do not fit."""
    most = [max_sequences(deployment, float(length)) for length in context]
    return batches > np.array([[np.inf if m is None else m] for m in most])
