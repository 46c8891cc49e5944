"""Mooncake's traces: JSON lines with `timestamp` (ms), `input_length`, `output_length`, `hash_ids`.

`hash_ids` names the prompt's blocks of 512 tokens; requests that share leading ids share that much
of their prompt. Traces in the same form without `hash_ids` are read too. Described in
kvcache-ai/Mooncake, `FAST25-release/README.md`.
"""

from itertools import chain

import numpy as np

from bursar.errors import BadInput
from bursar.workload.traces.columns import Blocks
from bursar.workload.traces.formats.base import Format, Recording, recording
from bursar.workload.traces.formats.json_table import JsonTable, gather
from bursar.workload.traces.formats.source import Source
from bursar.workload.traces.rules import REMEDY

NEEDED = ("timestamp", "input_length", "output_length")
BLOCK_TOKENS = 512


def read(source: Source) -> Recording:
    """The requests with their blocks; raises `BadInput` with the line that can't be read."""
    table = gather(source.rows(), (*NEEDED, "hash_ids"), source.place)
    return recording(
        source.path,
        table.times("timestamp") / 1e3,
        table.counts("input_length"),
        table.counts("output_length"),
        blocks=_blocks(table) if table.has("hash_ids") else None,
    )


def _blocks(table: JsonTable) -> Blocks:
    column = table.columns["hash_ids"]
    for row, ids in enumerate(column):
        if not isinstance(ids, list) or not all(type(i) is int and abs(i) < 2**63 for i in ids):
            raise BadInput(
                f"{table.place(row)}: hash_ids must be a list of whole 64-bit numbers; {REMEDY}"
            )
    offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in column])])
    hashes = np.fromiter(chain.from_iterable(column), dtype=np.int64, count=offsets[-1])
    return Blocks(offsets, hashes, BLOCK_TOKENS)


FORMAT = Format(frozenset(NEEDED), read)
