"""What one request uses in a server that batches continuously.

Steady state: `batch` requests are in flight. While one decodes, each of the others is replaced by a
new one whose prefill runs in the same steps, in chunks. By Little's law a request's own share of
the devices' time is its latency over `batch`.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from bursar.cost.deployment import Deployment
from bursar.cost.endtoend import Between, Pool, Served, predict
from bursar.cost.memory import require_fit
from bursar.cost.step import Steps, energy, grams, step_arrays, usd
from bursar.errors import BadInput
from bursar.usage import Usage


@dataclass(frozen=True, slots=True)
class RequestCost:
    """One request's own share; `usage.seconds` is its latency.

    `low` and `high` scale what depends on time, as far as the latency does in 80 of 100 servers;
    tokens, FLOPs and bytes do not. `ttft`: seconds to the first token; `tpot`: mean seconds between
    tokens, None for one token. `tier`: table, fitted or roofline.
    """

    usage: Usage
    low: Usage
    high: Usage
    ttft: Between
    tpot: Between | None
    tier: str


def request_cost(
    deployment: Deployment,
    tokens_in: int,
    tokens_out: int,
    *,
    batch: int = 1,
    cached_in: int = 0,
    check_memory: bool = True,
) -> RequestCost:
    """A request of `tokens_in` -> `tokens_out` among `batch` alike in all of the deployment.

    `cached_in` tokens of every prompt are in the cache already. Raises `Infeasible` when the batch
    does not fit, `BadInput` on lengths that make no sense.
    """
    _check(tokens_in, tokens_out, batch, cached_in)
    if check_memory:
        require_fit(deployment, batch, tokens_in + tokens_out)
    load = Served(Pool(deployment), batch, tokens_in, max(tokens_out, 2), cached_in=cached_in)
    (times,) = predict([load])
    later = max(tokens_out - 1, 0)
    low, seconds, high = (
        getattr(times.ttft, side) + later * getattr(times.tpot, side)
        for side in ("low", "middle", "high")
    )
    usage = replace(
        _share(deployment, tokens_in, tokens_out, batch, cached_in, seconds),
        tokens_in=float(tokens_in),
        tokens_out=float(tokens_out),
        seconds=seconds,
    )
    return RequestCost(
        usage,
        low=_scaled(usage, low / seconds),
        high=_scaled(usage, high / seconds),
        ttft=times.ttft,
        tpot=times.tpot if later else None,
        tier=times.tier,
    )


def decode_steps(
    deployment: Deployment,
    tokens_in: ArrayLike,
    tokens_out: ArrayLike,
    batch: ArrayLike,
    context: ArrayLike,
) -> Steps:
    """Steps that decode `batch` requests at the length `context`, others' prefill mixed in.

    A request's `tokens_out` - 1 steps carry `batch` - 1 prefills of `tokens_in` tokens. All four
    broadcast; each element is a step.
    """
    prompt, out, rows, length = np.broadcast_arrays(
        *(np.asarray(a, dtype=np.float64) for a in (tokens_in, tokens_out, batch, context))
    )
    prefill = (rows - 1) * prompt / np.maximum(out - 1, 1)
    chunk = np.minimum(prefill, prompt)
    new = np.stack([np.ones_like(length), chunk], axis=-1)
    before = np.stack([length, (prompt - chunk) / 2], axis=-1)
    prompts = np.divide(prefill, chunk, out=np.zeros_like(chunk), where=chunk > 0)
    return step_arrays(deployment, new, before, np.stack([rows, prompts], axis=-1))


def _check(tokens_in: int, tokens_out: int, batch: int, cached_in: int) -> None:
    if tokens_in < 1 or tokens_out < 0:
        raise BadInput(f"{tokens_in} tokens in, {tokens_out} out; give at least 1 in and 0 out")
    if batch < 1:
        raise BadInput(f"batch = {batch}; must be 1 or more")
    if not 0 <= cached_in < tokens_in:
        raise BadInput(f"{cached_in} of {tokens_in} input tokens cached; one at least must be new")


def _share(
    place: Deployment, tokens_in: int, tokens_out: int, batch: int, cached_in: int, seconds: float
) -> Usage:
    """The request's part of the work of all in flight while it is there; no tokens, no seconds."""
    fresh = tokens_in - cached_in
    context = tokens_in + np.arange(max(tokens_out - 1, 0), dtype=np.float64)
    steps = (
        step_arrays(place, fresh, cached_in),
        decode_steps(place, fresh, tokens_out, batch, context),
    )
    flops, moved, bound = (
        sum(float(np.sum(getattr(step, name))) for step in steps) / batch
        for name in ("flops", "bytes", "bound_seconds")
    )
    together = place.tp * place.dp  # of a pipeline's stages, full as it is, each is paid its share
    device_seconds = together * seconds / batch
    joules = energy(place, device_seconds, together * bound)
    return Usage(
        flops=flops,
        bytes_moved=moved,
        joules=None if joules is None else float(joules),
        usd=usd(place, device_seconds),
        tool_calls=0.0,
        grams_co2e=grams(place, None if joules is None else float(joules)),
    )


def _scaled(usage: Usage, factor: float) -> Usage:
    def times(amount: float | None) -> float | None:
        return None if amount is None else amount * factor

    return replace(
        usage,
        seconds=times(usage.seconds),
        joules=times(usage.joules),
        usd=times(usage.usd),
        grams_co2e=times(usage.grams_co2e),
    )
