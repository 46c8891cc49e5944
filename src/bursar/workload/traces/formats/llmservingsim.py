"""LLMServingSim's JSON lines: workloads to send, and the log of a vLLM run that served one.

A workload has `arrival_time_ns`. A log has `arrival_time` on the wall clock, and `queued_ts`,
`first_token_ts` and `last_token_ts` on the engine's own clock. The shortest time from arrival to
the queue is taken as zero: that sets the two clocks to each other, and what the request spent
before it reached the queue counts as waiting, which `first_token_ts - queued_ts` would miss.
"""

from bursar.workload.traces.formats.base import Format, Recording, recording
from bursar.workload.traces.formats.json_table import JsonTable, gather
from bursar.workload.traces.formats.source import Source

NEEDED = ("input_toks", "output_toks")
STAMPS = ("arrival_time", "queued_ts", "first_token_ts", "last_token_ts")


def read(source: Source) -> Recording:
    """The requests, with latencies from a log; raises `BadInput` with the line that is wrong."""
    table = gather(source.rows(), (*NEEDED, *STAMPS, "arrival_time_ns"), source.place)
    if not table.has("arrival_time_ns"):
        return _log(source, table)
    return recording(
        source.path,
        table.times("arrival_time_ns") / 1e9,
        table.counts("input_toks"),
        table.counts("output_toks"),
    )


def _log(source: Source, table: JsonTable) -> Recording:
    arrival, queued, first, last = (table.times(name) for name in STAMPS)
    sent = arrival + (queued - arrival).min()  # arrivals on the engine's clock
    return recording(
        source.path,
        arrival,
        table.counts("input_toks"),
        table.counts("output_toks"),
        ttft_s=first - sent,
        e2e_s=last - sent,
    )


FORMAT = Format(frozenset(NEEDED), read)
