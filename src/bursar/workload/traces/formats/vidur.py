"""Vidur's processed traces: arrived_at in seconds, num_prefill_tokens, num_decode_tokens.

The files that hold lengths only, without `arrived_at`, are read as requests that all wait at
second 0; `EmpiricalLengths.fit` takes the lengths from there. Described in microsoft/vidur.
"""

import numpy as np

from bursar.workload.traces.formats.base import Format, Recording, recording
from bursar.workload.traces.formats.csv_table import read_csv
from bursar.workload.traces.formats.source import Source

NEEDED = ("num_prefill_tokens", "num_decode_tokens")


def read(source: Source) -> Recording:
    """The requests; raises `BadInput` with the line that can't be read."""
    table = read_csv(source, NEEDED, ("arrived_at",))
    inputs, outputs = (table.counts(name) for name in NEEDED)
    arrival_s = np.zeros(len(inputs))
    if table.has("arrived_at"):
        arrival_s = table.times("arrived_at")
    return recording(source.path, arrival_s, inputs, outputs)


FORMAT = Format(frozenset(NEEDED), read)
