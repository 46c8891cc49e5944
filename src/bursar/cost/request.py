"""What one request uses in a server that batches continuously.

Steady state: `batch` requests are in flight. While one decodes, each of the others is replaced by a
new one whose prefill runs in the same steps, in chunks. By Little's law a request's own share of
the devices' time is its time in those steps over `batch`.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from bursar.cost.deployment import Deployment
from bursar.cost.memory import require_fit
from bursar.cost.step import Steps, grams, joules, step_arrays, usd
from bursar.cost.work import Array
from bursar.errors import BadInput
from bursar.usage import Usage


@dataclass(frozen=True, slots=True)
class RequestCost:
    """One request's own share; `usage.seconds` is its latency.

    `low` and `high` enclose the time between tokens that servers measured in about 80 of 100 cases
    (see `MEASURED`). They scale what depends on time; tokens, FLOPs and bytes do not.
    `ttft_seconds`: to the first token; `tpot_seconds`: mean between tokens, None for one token.
    """

    usage: Usage
    low: Usage
    high: Usage
    ttft_seconds: float
    tpot_seconds: float | None
    tier: str = "roofline"


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
    efficiency, fresh = deployment.efficiency, tokens_in - cached_in
    prefill = step_arrays(deployment, fresh, cached_in)
    context = tokens_in + np.arange(max(tokens_out - 1, 0), dtype=np.float64)
    decode = decode_steps(deployment, fresh, tokens_out, batch, context)
    own = float(prefill.seconds)
    first = efficiency.seconds_per_request + own * (1.0 + efficiency.queue * (batch - 1))
    later = float(np.sum(decode.seconds))
    usage = replace(
        _share(deployment, prefill, decode, batch),
        tokens_in=float(tokens_in),
        tokens_out=float(tokens_out),
        seconds=first + later,
    )
    return RequestCost(
        usage,
        low=_scaled(usage, efficiency.low),
        high=_scaled(usage, efficiency.high),
        ttft_seconds=first,
        tpot_seconds=later / (tokens_out - 1) if tokens_out > 1 else None,
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


def _share(deployment: Deployment, prefill: Steps, decode: Steps, batch: int) -> Usage:
    """The request's part of its prefill step and its decode steps; tokens and seconds not yet."""

    def shared(own: Array, common: Array) -> float:
        return (float(np.sum(own)) + float(np.sum(common))) / batch

    first, rest = joules(deployment, prefill), joules(deployment, decode)
    total = None if first is None or rest is None else shared(first, rest)
    return Usage(
        flops=shared(prefill.flops, decode.flops),
        bytes_moved=shared(prefill.bytes, decode.bytes),
        joules=total,
        usd=usd(deployment, shared(prefill.device_seconds, decode.device_seconds)),
        tool_calls=0.0,
        grams_co2e=grams(deployment, total),
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
