"""A request trace: who asks when, for how long a prompt and answer. Kept by column.

A million requests are a few arrays, so whatever changes a trace works on arrays and returns a new
one. Prompts are counted in tokens; what they say is not kept, except which of them share a prefix.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from bursar.errors import BadInput
from bursar.workload.traces.columns import Blocks, Labels
from bursar.workload.traces.rules import Floats, Ints, counts, positive, times, whole


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Requests in order of arrival; row i of every column is the same request.

    arrival_s       (n,) seconds since the trace began, never decreasing
    input_tokens    (n,) tokens in the prompt, at least 1
    output_tokens   (n,) tokens that are generated, at least 1
    blocks          hashes of the prompt's blocks, where the source gives them
    prefix_id       requests with the same id begin with the same text; "" shares with none.
                    How much they share is not said: at most the shorter prompt
    tenant          who asks; "" is nobody in particular
    priority        (n,) whole numbers, the smaller is the more urgent

    Raises `BadInput` when columns differ in length or hold a value that no request can have.
    """

    arrival_s: Floats
    input_tokens: Ints
    output_tokens: Ints
    blocks: Blocks | None = None
    prefix_id: Labels | None = None
    tenant: Labels | None = None
    priority: Ints | None = None

    def __post_init__(self) -> None:
        arrival = times(self.arrival_s, "arrival_s", _request)
        if arrival.ndim != 1 or np.any(np.diff(arrival) < 0):
            raise BadInput(
                f"arrival_s of shape {arrival.shape} must be one column that never decreases; "
                "sort the requests by arrival"
            )
        self._keep("arrival_s", arrival)
        for name in ("input_tokens", "output_tokens"):
            tokens = counts(getattr(self, name), name, _request)
            if np.any(tokens < 1):
                row = int(np.argmax(tokens < 1))
                raise BadInput(f"{_request(row)}: {name} is 0, must be 1 or more; take it out")
            self._keep(name, tokens)
        if self.priority is not None:
            self._keep("priority", whole(self.priority, "priority", _request))
        for name in ("input_tokens", "output_tokens", "blocks", "prefix_id", "tenant", "priority"):
            column = getattr(self, name)
            if column is not None and len(column) != len(arrival):
                raise BadInput(
                    f"{name} has {len(column)} rows, arrival_s has {len(arrival)}; "
                    "every column needs one row per request"
                )

    def _keep(self, name: str, column: Floats | Ints) -> None:
        """Stores a column that can't be written through; the caller's own array stays writable."""
        kept = column.view()
        kept.flags.writeable = False
        object.__setattr__(self, name, kept)

    def __len__(self) -> int:
        return len(self.arrival_s)

    def take(self, rows: ArrayLike) -> Trace:
        """The requests of an increasing index or a mask, at the times they had."""
        index = np.asarray(rows)
        return Trace(
            self.arrival_s[index],
            self.input_tokens[index],
            self.output_tokens[index],
            None if self.blocks is None else self.blocks.take(index),
            None if self.prefix_id is None else self.prefix_id.take(index),
            None if self.tenant is None else self.tenant.take(index),
            None if self.priority is None else self.priority[index],
        )

    def sped_up(self, factor: float) -> Trace:
        """The same requests, `factor` times as fast; below 1 is slower.

        Raises `BadInput` unless `factor` is finite and above zero.
        """
        return replace(self, arrival_s=self.arrival_s / positive(factor, "factor"))

    def window(self, start_s: float, end_s: float) -> Trace:
        """The requests with start_s <= arrival < end_s; `start_s` becomes second 0.

        Raises `BadInput` unless `end_s` is after `start_s`.
        """
        if not start_s < end_s:
            raise BadInput(
                f"a window from {start_s} s to {end_s} s is empty; end it after it starts"
            )
        first, end = np.searchsorted(self.arrival_s, [start_s, end_s])
        kept = self.take(np.arange(first, end))
        return replace(kept, arrival_s=kept.arrival_s - start_s)

    def thinned(self, share: float, rng: np.random.Generator) -> Trace:
        """Each request is kept with probability `share`, whatever happens to the others.

        The shape over time stays, the rate falls to `share` of itself, and burstiness moves
        towards that of a Poisson process. Raises `BadInput` unless 0 < share <= 1.
        """
        if not 0 < share <= 1:
            raise BadInput(f"share is {share}, must be above 0 and at most 1; to add requests, mix")
        return self.take(rng.random(len(self)) < share)


def _request(row: int) -> str:
    return f"request {row}"
