"""LLMServingSim's JSON lines: workloads to send, and the log of a vLLM run that served one.

A workload has `arrival_time_ns`, and `input_tok_ids`, which tell what its prompts share. A log has
`arrival_time` on the wall clock, and `queued_ts`, `first_token_ts` and `last_token_ts` on the
engine's own clock. The shortest time from arrival to the queue is taken as zero: that sets the two
clocks to each other, and what the request spent before it reached the queue counts as waiting,
which `first_token_ts - queued_ts` would miss.
"""

from itertools import chain

import numpy as np

from bursar.errors import BadInput
from bursar.workload.traces.columns import Blocks
from bursar.workload.traces.formats.base import Format, Recording, recording
from bursar.workload.traces.formats.json_table import JsonTable, gather
from bursar.workload.traces.formats.source import Source
from bursar.workload.traces.rules import REMEDY

NEEDED = ("input_toks", "output_toks")
ASKED = ("arrival_time_ns", "input_tok_ids")
STAMPS = ("arrival_time", "queued_ts", "first_token_ts", "last_token_ts")
BLOCK_TOKENS = 16
"""As vLLM puts token ids together by default."""


def read(source: Source) -> Recording:
    """The requests, with latencies from a log; raises `BadInput` with the line that is wrong."""
    table = gather(source.rows(), (*NEEDED, *ASKED, *STAMPS), source.place)
    if not table.has("arrival_time_ns"):
        return _log(source, table)
    return recording(
        source.path,
        table.times("arrival_time_ns") / 1e9,
        table.counts("input_toks"),
        table.counts("output_toks"),
        blocks=_blocks(table) if table.has("input_tok_ids") else None,
    )


def _blocks(table: JsonTable) -> Blocks:
    """Whole blocks of the prompts; those of the same tokens have the same number."""
    numbers: dict[tuple[int, ...], int] = {}
    found = []
    for row, ids in enumerate(table.columns["input_tok_ids"]):
        if not isinstance(ids, list) or not all(type(token) is int for token in ids):
            raise BadInput(
                f"{table.place(row)}: input_tok_ids must be a list of whole numbers; {REMEDY}"
            )
        ends = range(BLOCK_TOKENS, len(ids) + 1, BLOCK_TOKENS)
        blocks = (tuple(ids[end - BLOCK_TOKENS : end]) for end in ends)
        found.append([numbers.setdefault(block, len(numbers)) for block in blocks])
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in found])])
    return Blocks(offsets, np.array(list(chain.from_iterable(found)), dtype=np.int64), BLOCK_TOKENS)


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
