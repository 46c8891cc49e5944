"""Azure's public traces of LLM inference, 2023 and 2024: TIMESTAMP,ContextTokens,GeneratedTokens.

A timestamp is `2023-11-16 18:15:46.6805900` or, with an offset from UTC that is heeded,
`2024-05-10 00:00:00.009930+00:00`; whole seconds may come without a fraction. Described in
Azure/AzurePublicDataset, `AzureLLMInferenceDataset2023.md` and `...2024.md`.
"""

from bursar.workload.traces.formats.base import Format, Recording, recording
from bursar.workload.traces.formats.csv_table import CsvTable, read_csv
from bursar.workload.traces.formats.source import Source
from bursar.workload.traces.rules import Floats, Ints

CLOCK = "%Y-%m-%d %H:%M:%S%.f"


def read(source: Source) -> Recording:
    """The requests; raises `BadInput` with the line that can't be read."""
    table = read_csv(source, ("TIMESTAMP", "ContextTokens", "GeneratedTokens"))
    return recording(
        source.path,
        _seconds(table),
        table.counts("ContextTokens"),
        table.counts("GeneratedTokens"),
    )


def _seconds(table: CsvTable) -> Floats:
    text = table.frame["TIMESTAMP"]
    times = text.str.to_datetime(CLOCK, time_unit="ns", strict=False).dt.replace_time_zone("UTC")
    if times.null_count():
        zoned = text.str.to_datetime(f"{CLOCK}%#z", time_unit="ns", strict=False, time_zone="UTC")
        times = times.fill_null(zoned)
    table.refuse("TIMESTAMP", times.is_null())
    # Subtracted as integers: neither a float nor a Python datetime holds a date to the nanosecond.
    nanoseconds: Ints = times.to_physical().to_numpy()
    since_first: Floats = (nanoseconds - nanoseconds.min()) / 1e9
    return since_first


FORMAT = Format(frozenset({"TIMESTAMP", "ContextTokens", "GeneratedTokens"}), read)
