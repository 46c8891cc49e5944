"""What a format is, and what reading a file gives: a `Recording`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bursar.errors import BadInput
from bursar.workload.traces.columns import Blocks, Labels
from bursar.workload.traces.formats.source import Source
from bursar.workload.traces.rules import Floats, Ints
from bursar.workload.traces.trace import Trace


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """What a file holds: a trace and, where the source measured them, its requests' latencies.

    ttft_s     (n,) from sending the request to its first token, NaN where not measured; or None
    e2e_s      (n,) from sending the request to its last token, NaN where not measured; or None
    left_out   requests in the file that were not served: marked as failed or cut off, or without
               any prompt or answer
    """

    trace: Trace
    ttft_s: Floats | None = None
    e2e_s: Floats | None = None
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Format:
    """A file format. `needs`: the CSV columns or JSON keys without which a file isn't of it."""

    needs: frozenset[str]
    read: Callable[[Source], Recording]


def recording(
    path: Path,
    arrival_s: Floats,
    input_tokens: Ints,
    output_tokens: Ints,
    *,
    blocks: Blocks | None = None,
    prefix_id: Labels | None = None,
    tenant: Labels | None = None,
    priority: Ints | None = None,
    ttft_s: Floats | None = None,
    e2e_s: Floats | None = None,
    left_out: int = 0,
) -> Recording:
    """The served requests of a file in order of arrival, the first of them at second 0.

    Columns are (n,) in file order, their values checked. Requests without prompt or answer are
    left out and counted. Raises `BadInput` when none is left.
    """
    served = np.flatnonzero((input_tokens > 0) & (output_tokens > 0))
    if not len(served):
        raise BadInput(f"{path}: none of {len(arrival_s) + left_out} requests was served; check it")
    rows = served[np.argsort(arrival_s[served], kind="stable")]
    trace = Trace(
        arrival_s[rows] - arrival_s[rows[0]],
        input_tokens[rows],
        output_tokens[rows],
        None if blocks is None else blocks.take(rows),
        None if prefix_id is None else prefix_id.take(rows),
        None if tenant is None else tenant.take(rows),
        None if priority is None else priority[rows],
    )
    return Recording(
        trace,
        None if ttft_s is None else ttft_s[rows],
        None if e2e_s is None else e2e_s[rows],
        left_out + len(arrival_s) - len(served),
    )
