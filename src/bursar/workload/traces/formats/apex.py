"""APEX's traces: StartTimeOffset_ns, ContextTokens, GeneratedTokens."""

from bursar.workload.traces.formats.base import Format, Recording, recording
from bursar.workload.traces.formats.csv_table import read_csv
from bursar.workload.traces.formats.source import Source

NEEDED = ("StartTimeOffset_ns", "ContextTokens", "GeneratedTokens")


def read(source: Source) -> Recording:
    """The requests; raises `BadInput` with the line that can't be read."""
    table = read_csv(source, NEEDED)
    return recording(
        source.path,
        table.times(NEEDED[0]) / 1e9,
        table.counts(NEEDED[1]),
        table.counts(NEEDED[2]),
    )


FORMAT = Format(frozenset(NEEDED), read)
