"""Our own plain CSV: arrival_s,input_tokens,output_tokens[,prefix_id,tenant,priority].

`prefix_id` and `tenant` are any text, empty for none; `priority` is a whole number, the smaller
is the more urgent. Other columns are not looked at.
"""

from pathlib import Path

import polars as pl

from bursar.errors import BadInput
from bursar.workload.traces.formats.base import Format, Recording, recording
from bursar.workload.traces.formats.csv_table import read_csv
from bursar.workload.traces.formats.source import Source
from bursar.workload.traces.trace import Trace

NEEDED = ("arrival_s", "input_tokens", "output_tokens")
OPTIONAL = ("prefix_id", "tenant", "priority")


def read(source: Source) -> Recording:
    """The requests; raises `BadInput` with the line that can't be read."""
    table = read_csv(source, NEEDED, OPTIONAL)
    return recording(
        source.path,
        table.times("arrival_s"),
        table.counts("input_tokens"),
        table.counts("output_tokens"),
        prefix_id=table.labels("prefix_id"),
        tenant=table.labels("tenant"),
        priority=table.whole("priority") if table.has("priority") else None,
    )


def write_trace(trace: Trace, path: str | Path) -> None:
    """Writes `trace` as plain CSV. Hashed blocks have no column there and are not written.

    `read_trace` gives the same requests back, shifted so that the first arrives at second 0.
    Raises `BadInput` when the file can't be written.
    """
    columns = {name: pl.Series(getattr(trace, name)) for name in NEEDED}
    if trace.prefix_id is not None:
        columns["prefix_id"] = trace.prefix_id.text()
    if trace.tenant is not None:
        columns["tenant"] = trace.tenant.text()
    if trace.priority is not None:
        columns["priority"] = pl.Series(trace.priority)
    try:
        pl.DataFrame(columns).write_csv(path)
    except OSError as error:
        raise BadInput(f"{path}: can't be written ({error}); check the folder") from None


FORMAT = Format(frozenset(NEEDED), read)
