"""GuideLLM's benchmarks.json, reports of version 0.2 and later.

`benchmarks` is a list of runs, one after the other, each with its `requests` by outcome. All runs
are read as one trace at the times when their requests were sent; cut a window to have one of
them. Up to 0.3 a request has `start_time`, later `request_start_time`; both give `request_latency`
(s) and `time_to_first_token_ms`, which old versions make negative when there was none. Described
in vllm-project/guidellm, `src/guidellm/schemas/request_stats.py`.
"""

from typing import Any

import numpy as np

from bursar.errors import BadInput
from bursar.workload.traces.formats.base import Format, Recording, recording
from bursar.workload.traces.formats.json_table import dig, gather
from bursar.workload.traces.formats.source import Source
from bursar.workload.traces.rules import REMEDY

NAMES = (
    *("prompt_tokens", "output_tokens", "request_start_time", "start_time"),
    *("request_latency", "time_to_first_token_ms"),
)


def read(source: Source) -> Recording:
    """The successful requests, with latencies; raises `BadInput` at the first wrong one."""
    runs = _list(source.document(), "benchmarks")
    served: list[dict[str, Any]] = []
    left_out = 0
    for number, run in enumerate(runs, start=1):
        served += _successful(source, number, run)
        left_out += sum(len(_list(run, "requests", how)) for how in ("errored", "incomplete"))
    if not served:
        raise BadInput(f"{source.path}: no successful request in it; check the run")
    table = gather(enumerate(served, start=1), NAMES, source.place)
    start = "request_start_time" if table.has("request_start_time") else "start_time"
    ttft_ms = table.numbers("time_to_first_token_ms", may_miss=True)
    return recording(
        source.path,
        table.times(start),
        table.counts("prompt_tokens"),
        table.counts("output_tokens"),
        ttft_s=np.where(ttft_ms < 0, np.nan, ttft_ms) / 1e3,
        e2e_s=table.latencies("request_latency"),
        left_out=left_out,
    )


def _successful(source: Source, number: int, run: Any) -> list[dict[str, Any]]:
    requests = _list(run, "requests", "successful")
    if not all(isinstance(request, dict) for request in requests):
        raise BadInput(
            f"{source.path}: benchmark {number} has requests that are no objects; {REMEDY}"
        )
    total = dig(run, "metrics", "request_totals", "successful")
    if isinstance(total, int) and total > len(requests):
        raise BadInput(
            f"{source.path}: benchmark {number} keeps {len(requests)} of {total} requests, so that "
            "its rate would be wrong; run it again without sampling requests"
        )
    return requests


def _list(value: Any, *keys: str) -> list[Any]:
    found = dig(value, *keys)
    return found if isinstance(found, list) else []


FORMAT = Format(frozenset({"benchmarks"}), read)
