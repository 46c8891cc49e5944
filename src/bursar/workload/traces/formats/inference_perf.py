"""inference-perf's per_request_lifecycle_metrics.json: a list of requests.

Each has `start_time` and `end_time` (s, one clock), `error`, and `info` with the token counts.
Where the response's counts and `output_token_times` stand has moved between versions: in `info`
up to 0.4, in `response_info` in 0.5, in `response_metrics` since 0.6; the server's own count of
answer tokens is preferred where it is there. Described in kubernetes-sigs/inference-perf,
`inference_perf/apis/base.py`.
"""

from typing import Any

from bursar.errors import BadInput
from bursar.workload.traces import rules
from bursar.workload.traces.formats.base import Format, Recording, recording
from bursar.workload.traces.formats.json_table import dig, gather
from bursar.workload.traces.formats.source import Source

NAMES = ("start_time", "end_time", "input_tokens", "output_tokens", "first_token_time")


def read(source: Source) -> Recording:
    """The requests without error, with latencies; raises `BadInput` at the first wrong one."""
    rows = list(source.rows())
    served = [(number, _flat(row)) for number, row in rows if row.get("error") is None]
    if not served:
        raise BadInput(f"{source.path}: each of {len(rows)} requests has an error; check the run")
    table = gather(served, NAMES, source.place)
    start = table.times("start_time")
    first = table.latencies("first_token_time")
    return recording(
        source.path,
        start,
        table.counts("input_tokens"),
        table.counts("output_tokens"),
        ttft_s=rules.latencies(first - start, "the time to the first token", table.place),
        e2e_s=rules.latencies(table.times("end_time") - start, "the latency", table.place),
        left_out=len(rows) - len(served),
    )


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    info = row.get("info")
    response = dig(info, "response_metrics") or dig(info, "response_info") or info
    counted = dig(response, "server_usage", "completion_tokens")
    times = dig(response, "output_token_times")
    return {
        "start_time": row.get("start_time"),
        "end_time": row.get("end_time"),
        "input_tokens": dig(info, "input_tokens"),
        "output_tokens": dig(response, "output_tokens") if counted is None else counted,
        "first_token_time": times[0] if isinstance(times, list) and times else None,
    }


FORMAT = Format(frozenset({"start_time", "end_time", "info"}), read)
