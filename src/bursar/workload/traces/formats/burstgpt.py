"""BurstGPT: calls of GPT-3.5 and GPT-4 in a university, with `Timestamp` in seconds.

Columns: Timestamp, Model, Request tokens, Response tokens, Total tokens, Log Type; the files of
release 1.2 add Session ID and Elapsed time. Failed calls have no response tokens and are left out.
The session becomes the prefix id, as each turn of a conversation begins with the turns before it;
the model becomes the tenant, so that the two can be told apart. `Elapsed time` is from sending to
the last token, in whole seconds. Described in HPMLL/BurstGPT, `README.md`.
"""

from bursar.workload.traces.formats.base import Format, Recording, recording
from bursar.workload.traces.formats.csv_table import read_csv
from bursar.workload.traces.formats.source import Source

NEEDED = ("Timestamp", "Model", "Request tokens", "Response tokens")


def read(source: Source) -> Recording:
    """The calls that were answered; raises `BadInput` with the line that can't be read."""
    table = read_csv(source, NEEDED, ("Session ID", "Elapsed time"))
    return recording(
        source.path,
        table.times("Timestamp"),
        table.counts("Request tokens"),
        table.counts("Response tokens"),
        prefix_id=table.labels("Session ID"),
        tenant=table.labels("Model"),
        e2e_s=table.latencies("Elapsed time") if table.has("Elapsed time") else None,
    )


FORMAT = Format(frozenset(NEEDED), read)
