"""Results of `vllm bench serve` (once `benchmark_serving.py`), saved with --save-detailed.

One JSON object with a list per quantity: `input_lens`, `output_lens`, `start_times`, `ttfts` in
seconds, and `itls`, the seconds between the chunks that each request received. A request that
failed has output length 0. The time to the last token is TTFT and the gaps added up; it is
unknown for a server that did not stream. Described in vllm-project/vllm,
`vllm/benchmarks/serve.py`.
"""

from typing import Any

import numpy as np

from bursar.errors import BadInput
from bursar.workload.traces.formats.base import Format, Recording, recording
from bursar.workload.traces.formats.json_table import JsonTable, dig
from bursar.workload.traces.formats.source import Source
from bursar.workload.traces.rules import Floats

LISTS = ("input_lens", "output_lens", "start_times", "ttfts", "itls")


def read(source: Source) -> Recording:
    """The requests that were answered, with latencies; raises `BadInput` at the first wrong one."""
    table = _table(source)
    ttft = table.latencies("ttfts")
    ttft[ttft == 0] = np.nan
    outputs = table.counts("output_lens")
    gaps = _summed_gaps(table)
    gaps[(gaps == 0) & (outputs > 1)] = np.nan
    return recording(
        source.path,
        table.times("start_times"),
        table.counts("input_lens"),
        outputs,
        ttft_s=ttft,
        e2e_s=ttft + gaps,
    )


def _table(source: Source) -> JsonTable:
    run = source.document()
    lists = {name: run[name] for name in LISTS if isinstance(dig(run, name), list)}
    if missing := [name for name in LISTS if name not in lists]:
        raise BadInput(
            f"{source.path}: no list {', '.join(missing)}; run the benchmark again with "
            "--save-detailed and a vLLM that records start_times"
        )
    lengths = {name: len(values) for name, values in lists.items()}
    if len(set(lengths.values())) > 1:
        raise BadInput(f"{source.path}: lists of different lengths, {lengths}; save the run anew")
    return JsonTable(lists, range(1, lengths["itls"] + 1), source.place)


def _summed_gaps(table: JsonTable) -> Floats:
    rows: list[int] = []
    gaps: list[Any] = []
    for row, own in enumerate(table.columns["itls"]):
        own = own if isinstance(own, list) else [own]
        gaps += own
        rows += [row] * len(own)
    flat = JsonTable({"itls": gaps}, [table.where[row] for row in rows], table.place_of)
    sums = np.zeros(len(table.where))
    np.add.at(sums, np.array(rows, dtype=np.int64), flat.latencies("itls"))
    return sums


FORMAT = Format(frozenset({"completed", "request_throughput"}), read)
