"""What a step uses: its work, and its seconds by one of three tiers.

"table" and "fitted" sum operators (`cost.tables`). "roofline": each group of operators takes
max(FLOPs / rate, bytes / bandwidth) (Williams, Waterman & Patterson 2009); groups follow one
another, then come collectives and a fixed time per layer.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bursar.catalog import Experts
from bursar.cost.allreduce import ring_share
from bursar.cost.deployment import DATASHEET, Deployment, Efficiency
from bursar.cost.tables import operator_steps
from bursar.cost.work import ACTIVATION_BYTES, Array, Rows, Work, residual_writes, step_work
from bursar.usage import Usage


@dataclass(frozen=True, slots=True)
class Steps:
    """Costs of one or many steps, arrays of one shape.

    `seconds` is how long a step takes, 80 of 100 times between `low` and `high`; `bound_seconds`
    what the datasheet's rates would allow; `flops` and `bytes` are summed over devices; `terms`
    splits the seconds by operator group; `tier` is what most of them rest on.
    `device_seconds` is what is paid for: a full pipeline is assumed, so of `pp` stages each is
    charged its own share.
    """

    tokens: Array
    seconds: Array
    low: Array
    high: Array
    bound_seconds: Array
    flops: Array
    bytes: Array
    device_seconds: Array
    terms: dict[str, Array]
    tier: str


def step_arrays(
    deployment: Deployment, new: ArrayLike, context: ArrayLike, count: ArrayLike = 1.0
) -> Steps:
    """Costs of steps of rows (`new` tokens, `context` tokens before them, `count` times).

    The three broadcast; the last axis is the rows of one step, axes before it are steps.
    """
    rows, place = Rows.of(new, context, count), deployment
    groups = step_work(
        place.model, rows, tp=place.tp, dp=place.dp, dtype=place.dtype, kv_dtype=place.kv_dtype
    )
    if place.efficiency is None:
        timed = _by_operators(place, rows)
    else:
        timed = _by_roofline(place, rows, groups, place.efficiency)
    bound = _seconds(place, rows, groups, DATASHEET)
    together = place.tp * place.dp
    return Steps(
        tokens=rows.tokens,
        seconds=timed.seconds,
        low=timed.low,
        high=timed.high,
        bound_seconds=_total(bound),
        flops=together * _total({name: work.flops for name, work in groups.items()}),
        bytes=together * _total({name: work.bytes for name, work in groups.items()}),
        device_seconds=together * timed.seconds,
        terms=timed.terms,
        tier=timed.tier,
    )


class _Timed(NamedTuple):
    seconds: Array
    low: Array
    high: Array
    terms: dict[str, Array]
    tier: str


def _by_operators(place: Deployment, rows: Rows) -> _Timed:
    factor, steps = place.law.step_factor, operator_steps(place, rows)
    terms = {name: factor * part for name, part in steps.terms.items()}
    tier = "table" if steps.tiers.get("fitted", 0.0) < 0.5 else "fitted"
    return _Timed(factor * steps.seconds, factor * steps.low, factor * steps.high, terms, tier)


def _by_roofline(
    place: Deployment, rows: Rows, groups: dict[str, Work], efficiency: Efficiency
) -> _Timed:
    terms = _seconds(place, rows, groups, efficiency)
    seconds = _total(terms)
    return _Timed(seconds, seconds * efficiency.low, seconds * efficiency.high, terms, "roofline")


def _total(parts: dict[str, Array]) -> Array:
    return np.asarray(np.sum(np.stack(list(parts.values())), axis=0), dtype=np.float64)


def _seconds(
    place: Deployment, rows: Rows, groups: dict[str, Work], efficiency: Efficiency
) -> dict[str, Array]:
    bandwidth = (place.device.memory_bytes_per_second or np.nan) * efficiency.memory
    stored = place.device.flops_per_second(place.dtype) * efficiency.compute
    wide = place.device.flops_per_second("bf16") * efficiency.compute  # scores, states, logits
    terms = {
        name: np.maximum(
            work.flops / (stored if name in ("projections", "experts") else wide),
            work.bytes / bandwidth,
        )
        for name, work in groups.items()
    }
    terms["communication"] = _communication(place, rows, efficiency)
    terms["overhead"] = (rows.tokens > 0) * efficiency.seconds_per_layer * place.model.layers
    return terms


def _communication(place: Deployment, rows: Rows, efficiency: Efficiency) -> Array:
    """Ring all-reduces over `tp`, expert dispatch and combine over `tp` x `dp`, hops over `pp`."""
    tokens, model = rows.tokens / place.dp, place.model
    if place.devices == 1:
        return np.zeros_like(tokens)
    one_way = (place.device.link_bytes_per_second or np.nan) / 2.0 * efficiency.link
    message = tokens * model.hidden * ACTIVATION_BYTES
    collectives, moved = 0.0, np.zeros_like(tokens)
    if place.tp > 1:
        collectives += residual_writes(model)
        moved = moved + residual_writes(model) * message * ring_share(place.tp)
    if place.dp > 1:
        spread = place.tp * place.dp
        for block in model.blocks:
            if isinstance(block, Experts):
                collectives += 2 * block.count
                sent = message / place.tp * block.top_k * (spread - 1) / spread
                moved = moved + 2 * block.count * sent
    if place.pp > 1:
        collectives += place.pp - 1
        moved = moved + (place.pp - 1) * message
    latency = (rows.tokens > 0) * collectives * efficiency.seconds_per_collective
    return np.asarray(moved / one_way + latency)


def joules(deployment: Deployment, steps: Steps) -> Array | None:
    """Energy of the devices: idle power, and the rest of the limit by how near the bound is.

    P = idle + (TDP - idle) * bound_seconds / seconds, on every device that is paid for. None when
    either power is not known.
    """
    scale = steps.device_seconds / np.where(steps.seconds > 0, steps.seconds, 1.0)
    return energy(deployment, steps.device_seconds, scale * steps.bound_seconds)


def energy(deployment: Deployment, device_seconds: ArrayLike, bound: ArrayLike) -> Array | None:
    """The same from seconds of devices, and how many of them the datasheet's rates would take."""
    idle, limit = deployment.device.idle_watts, deployment.device.tdp_watts
    if idle is None or limit is None:
        return None
    return np.asarray(idle * np.asarray(device_seconds) + (limit - idle) * np.asarray(bound))


@dataclass(frozen=True, slots=True)
class Step:
    """One step: rows of new tokens and of the tokens before them, each `count` times."""

    new: ArrayLike
    context: ArrayLike
    count: ArrayLike = 1.0


@dataclass(frozen=True, slots=True)
class StepCost:
    """What one step uses (`usage.seconds` is its duration), and its seconds by operator group.

    80 of 100 steps take between `low` and `high` seconds.
    """

    usage: Usage
    low: float
    high: float
    seconds: dict[str, float]
    tier: str


def step_cost(deployment: Deployment, step: Step) -> StepCost:
    """The cost of one step. Each row gives one token out; rows of more than one new are prompts."""
    steps = step_arrays(deployment, step.new, step.context, step.count)
    rows = Rows.of(step.new, step.context, step.count)
    prompt = float(np.sum(rows.total(np.where(rows.new > 1, rows.new, 0.0))))
    usage = usage_of(deployment, steps, tokens_in=prompt, tokens_out=float(np.sum(rows.sequences)))
    terms = {name: float(np.sum(part)) for name, part in steps.terms.items()}
    return StepCost(usage, float(np.sum(steps.low)), float(np.sum(steps.high)), terms, steps.tier)


def usage_of(deployment: Deployment, steps: Steps, *, tokens_in: float, tokens_out: float) -> Usage:
    """All of `steps` together as one `Usage`; seconds one after the other."""
    energy = joules(deployment, steps)
    total_joules = None if energy is None else float(np.sum(energy))
    return Usage(
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        flops=float(np.sum(steps.flops)),
        bytes_moved=float(np.sum(steps.bytes)),
        seconds=float(np.sum(steps.seconds)),
        joules=total_joules,
        usd=usd(deployment, float(np.sum(steps.device_seconds))),
        tool_calls=0.0,
        grams_co2e=grams(deployment, total_joules),
    )


def usd(deployment: Deployment, device_seconds: float) -> float | None:
    """Rent for so many device-seconds; None when the price is not known."""
    price = deployment.device.usd_per_hour
    return None if price is None else device_seconds * price / 3600.0


def grams(deployment: Deployment, total_joules: float | None) -> float | None:
    """CO2-equivalent of so many joules of the devices; None without a grid or known joules."""
    if deployment.grid is None or total_joules is None:
        return None
    kwh = total_joules * deployment.pue / 3.6e6
    return kwh * deployment.grid.grams_co2e_per_kwh
