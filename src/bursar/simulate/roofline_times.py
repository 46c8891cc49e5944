"""The plain roofline as `StepTimes`: the numbers of `bursar.cost.step_arrays`, step by step.

Only attention depends on how long contexts are, and its FLOPs and bytes are sums over rows. All
other terms depend on the number of new tokens or of rows, and are tabulated from `step_arrays`.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bursar.cost import DATASHEET, MEASURED, Deployment, Efficiency, step_arrays
from bursar.cost.work import Array, Rows, step_work
from bursar.errors import BadInput
from bursar.simulate.attention_rows import SoftmaxRows, attention_rows
from bursar.simulate.step_times import Chunks, Lengths, Line, Sums

_BY_ROW = ("head",)
_BY_CONTEXT = ("attention",)
_BY_BOTH = ("state",)  # FLOPs by token, bytes by row


class RooflineTimes:
    """Steps of a deployment, one batch in flight; `reached` of its device's rates.

    Raises `BadInput` for `pp` > 1.
    """

    def __init__(self, deployment: Deployment, reached: Efficiency = MEASURED) -> None:
        if deployment.pp > 1:
            raise BadInput(f"pp = {deployment.pp}; a roofline's steps are simulated with pp = 1")
        self._place = replace(deployment, efficiency=reached)
        self._bound = replace(deployment, efficiency=DATASHEET)
        self._rows = attention_rows(deployment)
        limits = (x.window if isinstance(x, SoftmaxRows) else x.top_k for x in self._rows)
        self.windows: tuple[int, ...] = tuple(sorted({x for x in limits if x is not None}))
        self.seconds_per_request = reached.seconds_per_request
        self._idle, self._active = watts(deployment)
        self.idle_watts = self._idle or None
        self._set_rates(reached)
        self._decode = [self._decode_line(start) for start in (1, *self.windows)]
        self._token_seconds, self._token_joules = [0.0], [0.0]
        self._row_seconds, self._row_joules = [0.0], [0.0]

    def step(self, counts: Lengths, contexts: Sums, chunks: Chunks) -> tuple[float, float]:
        """See `StepTimes.step`."""
        flops, _, moved, _, rows = self._decoding(counts, contexts)
        tokens = rows
        for new, context in chunks:
            rows += 1
            tokens += new
            more, more_moved = self._attention(new, context)
            flops += more
            moved += more_moved
        seconds, joules = self._without_attention(tokens, rows)
        by_flops, by_bytes = flops * self._flop_seconds, moved * self._byte_seconds
        attention = by_flops if by_flops > by_bytes else by_bytes
        by_flops, by_bytes = flops * self._flop_bound, moved * self._byte_bound
        bound = by_flops if by_flops > by_bytes else by_bytes
        return seconds + attention, joules + self._idle * attention + self._active * bound

    def line(self, counts: Lengths, contexts: Sums) -> Line:
        """See `StepTimes.line`."""
        flops, flops_slope, moved, moved_slope, rows = self._decoding(counts, contexts)
        seconds, joules = self._without_attention(rows, rows)
        rate, bandwidth = self._flop_seconds, self._byte_seconds
        attention, attention_slope, steps = _larger(
            flops * rate, flops_slope * rate, moved * bandwidth, moved_slope * bandwidth
        )
        rate, bandwidth = self._flop_bound, self._byte_bound
        bound, bound_slope, bound_steps = _larger(
            flops * rate, flops_slope * rate, moved * bandwidth, moved_slope * bandwidth
        )
        return Line(
            seconds + attention,
            attention_slope,
            joules + self._idle * attention + self._active * bound,
            self._idle * attention_slope + self._active * bound_slope,
            steps if steps < bound_steps else bound_steps,
        )

    def _decoding(self, counts: Lengths, contexts: Sums) -> tuple[float, float, float, float, int]:
        """Attention's FLOPs, their growth a step, bytes, their growth; and the number of rows."""
        flops = flops_slope = moved = moved_slope = 0.0
        rows = 0
        for count, context, (base, slope, base_bytes, slope_bytes) in zip(
            counts, contexts, self._decode, strict=True
        ):
            if count:
                rows += count
                flops += count * base + context * slope
                flops_slope += count * slope
                moved += count * base_bytes + context * slope_bytes
                moved_slope += count * slope_bytes
        return flops, flops_slope, moved, moved_slope, rows

    def _attention(self, new: int, context: int) -> tuple[float, float]:
        """Attention's FLOPs and bytes for one row."""
        flops = moved = 0.0
        for kind in self._rows:
            more, more_moved = kind.work(new, context)
            flops += more
            moved += more_moved
        return flops, moved

    def _without_attention(self, tokens: int, rows: int) -> tuple[float, float]:
        if tokens >= len(self._token_seconds):
            self._token_seconds, self._token_joules = self._table(tokens, _token_rows, _by_token)
        if rows >= len(self._row_seconds):
            self._row_seconds, self._row_joules = self._table(rows, _decode_rows, _by_row)
        seconds = self._token_seconds[tokens] + self._row_seconds[rows]
        joules = self._token_joules[tokens] + self._row_joules[rows]
        if self._state_flops:
            flops, moved = tokens * self._state_flops, rows * self._state_bytes
            state = max(flops * self._flop_seconds, moved * self._byte_seconds)
            bound = max(flops * self._flop_bound, moved * self._byte_bound)
            return seconds + state, joules + self._idle * state + self._active * bound
        return seconds, joules

    def _table(
        self,
        size: int,
        rows: Callable[[Array], tuple[Array, Array]],
        wanted: Callable[[str], bool],
    ) -> tuple[list[float], list[float]]:
        """Seconds and joules of the wanted terms for 0, 1, ... up to beyond `size`."""
        new, count = rows(np.arange(2 ** (size.bit_length() + 1), dtype=np.float64)[:, None])
        sums = []
        for place in (self._place, self._bound):
            terms = step_arrays(place, new, 0.0, count).terms
            sums.append(np.sum([x for name, x in terms.items() if wanted(name)], axis=0))
        seconds, bound = sums
        return seconds.tolist(), (self._idle * seconds + self._active * bound).tolist()

    def _set_rates(self, reached: Efficiency) -> None:
        place = self._place
        self._flop_bound = 1.0 / place.device.flops_per_second("bf16")
        self._byte_bound = 1.0 / (place.device.memory_bytes_per_second or math.nan)
        self._flop_seconds = self._flop_bound / reached.compute
        self._byte_seconds = self._byte_bound / reached.memory
        work = step_work(
            place.model,
            Rows.of(1.0, 0.0),
            tp=place.tp,
            dp=place.dp,
            dtype=place.dtype,
            kv_dtype=place.kv_dtype,
        )
        state = work.get("state")
        self._state_flops = 0.0 if state is None else float(state.flops)
        self._state_bytes = 0.0 if state is None else float(state.bytes)

    def _decode_line(self, start: int) -> tuple[float, float, float, float]:
        """FLOPs and bytes of one decoded token as lines in its context, from `start` on."""
        flops, moved = self._attention(1, start)
        flops_next, moved_next = self._attention(1, start + 1)
        slope, slope_bytes = flops_next - flops, moved_next - moved
        return flops - start * slope, slope, moved - start * slope_bytes, slope_bytes


def watts(deployment: Deployment) -> tuple[float, float]:
    """Power of all devices when idle, and what full use adds; zeros when either is not known."""
    idle, limit = deployment.device.idle_watts, deployment.device.tdp_watts
    if idle is None or limit is None:
        return 0.0, 0.0
    return deployment.devices * idle, deployment.devices * (limit - idle)


def _by_token(name: str) -> bool:
    return name not in (*_BY_ROW, *_BY_CONTEXT, *_BY_BOTH)


def _by_row(name: str) -> bool:
    return name in _BY_ROW


def _token_rows(tokens: Array) -> tuple[Array, Array]:
    return tokens, np.ones_like(tokens)


def _decode_rows(rows: Array) -> tuple[Array, Array]:
    return np.ones_like(rows), rows


def _larger(a: float, a_slope: float, b: float, b_slope: float) -> tuple[float, float, float]:
    """(value, slope) of the larger of two lines at 0, and for how many steps it stays so."""
    lead, lead_slope = a - b, a_slope - b_slope
    if lead > 0 or (lead == 0 and lead_slope > 0):
        return a, a_slope, math.inf if lead_slope >= 0 else math.ceil(-lead / lead_slope)
    return b, b_slope, math.inf if lead_slope <= 0 else math.ceil(-lead / lead_slope)
