"""From seconds of steps to times as benchmarks measure them.

    TPOT = (decode + beside + crossings CROSSING_SECONDS) (AHEAD where the fleet is not stated)

    TTFT = first + routed (where experts are routed) + prompt_factor prompt + waiting
      aggregated: waiting = queue (N - 1) (queued + handling where experts are routed)
                            + (waves - 1)+ TPOT tokens_out
      pools:      waiting = transfer + pool_queue N queued

N users each send the next request when the last is answered, and all send the first at once: that
burst, spread over the ten requests a user usually sends, is most of `queue`; at the loads measured
later requests seldom wait long for one another. Requests beyond the cache's room wait for whole
answers. A pool for prompts whose size is not stated is taken to keep up with decoding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from bursar.cost.calibration import EngineLaw, Law
from bursar.cost.endtoend.features import Features
from bursar.cost.work import Array

CROSSING_SECONDS = 45e-6
"""One small all-reduce over two nodes by InfiniBand, beyond what it takes inside a node."""

AHEAD = 0.7
"""Geometric middle of runs without and with speculative decoding. Disaggregated runs come in pairs
at equal settings whose times differ by two, about as many of the one as of the other."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Many loads: one array for each field of `Features`."""

    engine: NDArray[np.str_]
    mode: NDArray[np.str_]
    tier: NDArray[np.str_]
    routed: Array
    in_flight: Array
    tokens_out: Array
    decode: Array
    beside: Array
    prompt: Array
    queued: Array
    waves: Array
    crossings: Array

    @classmethod
    def of(cls, loads: Sequence[Features]) -> "Columns":
        """In the order of `loads`, each of which may hold several."""
        parts = [np.broadcast_arrays(*(getattr(x, f.name) for f in fields(cls))) for x in loads]
        return cls(
            *(np.concatenate([np.ravel(a) for a in column]) for column in zip(*parts, strict=True))
        )


def tpot_seconds(loads: Columns) -> Array:
    """Mean seconds between tokens: two constants, no coefficients."""
    step = loads.decode + loads.beside + loads.crossings * CROSSING_SECONDS
    return np.asarray(step * np.where(loads.mode == "unstated", AHEAD, 1.0))


def ttft_seconds(loads: Columns, law: Law) -> Array:
    """Mean seconds to the first token."""
    engines = [law.get(engine, law["any"]) for engine in loads.engine]
    names = (field.name for field in fields(EngineLaw))
    return ttft_with(loads, {n: np.array([getattr(e, n) for e in engines]) for n in names})


def ttft_with(loads: Columns, at: Mapping[str, Array | float]) -> Array:
    """The same with each load's own coefficients, by name."""
    own = at["first_seconds"] + at["routed_seconds"] * loads.routed
    own = own + at["prompt_factor"] * loads.prompt
    answer = tpot_seconds(loads) * loads.tokens_out
    each = loads.queued + at["handling_seconds"] * loads.routed
    others = at["queue"] * (loads.in_flight - 1.0) * each
    waves = np.maximum(0.0, loads.waves - 1.0) * answer
    crowd = loads.in_flight * loads.queued
    crowd = np.where(loads.mode == "unstated", np.minimum(crowd, answer), crowd)
    pooled = at["transfer_seconds"] + at["pool_queue"] * crowd
    return np.asarray(own + np.where(loads.mode == "aggregated", others + waves, pooled))
