"""Trace files: one module per format, and `read_trace`, which recognises them."""

from pathlib import Path

from bursar.errors import BadInput
from bursar.workload.traces.formats import (
    apex,
    azure,
    burstgpt,
    guidellm,
    inference_perf,
    llmservingsim,
    mooncake,
    plain,
    vidur,
    vllm_bench,
)
from bursar.workload.traces.formats.base import Format, Recording
from bursar.workload.traces.formats.plain import write_trace
from bursar.workload.traces.formats.source import Source, open_source
from bursar.workload.traces.trace import Trace

FORMATS: dict[str, Format] = {
    "plain": plain.FORMAT,
    "azure": azure.FORMAT,
    "burstgpt": burstgpt.FORMAT,
    "mooncake": mooncake.FORMAT,
    "vidur": vidur.FORMAT,
    "apex": apex.FORMAT,
    "llmservingsim": llmservingsim.FORMAT,
    "vllm_bench": vllm_bench.FORMAT,
    "guidellm": guidellm.FORMAT,
    "inference_perf": inference_perf.FORMAT,
}
"""Name -> format. No file is of two formats."""


def read_trace(path: str | Path) -> Trace:
    """The trace in a file of any known format; the first request arrives at second 0.

    Raises `BadInput`, with the line where there is one, when the format is not known or the file
    can't be read as what it is.
    """
    return read_recording(path).trace


def read_recording(path: str | Path) -> Recording:
    """The trace in a file, with the latencies that were measured and how many requests failed.

    Raises `BadInput` as `read_trace` does.
    """
    source = open_source(path)
    for known in FORMATS.values():
        if known.needs <= source.fields:
            return known.read(source)
    raise BadInput(_unknown(source))


def _unknown(source: Source) -> str:
    """What is missing for the format that the file is most like; else what is known."""
    has = ", ".join(sorted(source.fields)[:12]) or "no names"
    near = max(FORMATS, key=lambda name: _likeness(FORMATS[name], source))
    if _likeness(FORMATS[near], source) == 0:
        return f"{source.path}: no known trace format has {has}; use one of {', '.join(FORMATS)}"
    missing = ", ".join(sorted(FORMATS[near].needs - source.fields))
    return f"{source.path}: has {has}; to be a {near} trace it must have {missing} too: add it"


def _likeness(known: Format, source: Source) -> float:
    return len(known.needs & source.fields) / len(known.needs)


__all__ = ["FORMATS", "Recording", "read_recording", "read_trace", "write_trace"]
