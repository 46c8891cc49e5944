"""Reads the operator tables of AIConfigurator: `<system>/<group>/<engine>/<version>/*.parquet`.

Units and traps of the format, as found in the data:

- `latency` is in milliseconds, one number per shape, measured in a CUDA graph.
- `message_size` of a collective counts elements, not bytes (a `half` takes twice an `int8`'s time).
- Generation attention has `step` tokens cached before the new one: `length` = `step` + 1.
- vLLM's all-reduce is measured twice; `eager` includes launching from Python, so `graph` is read.
- MoE is the time of the busiest device for `num_tokens` over all of `tp` x `ep` devices;
  `power_law_a` is how unevenly tokens choose experts. An expert without a gate (two matrices) is
  labelled only in TensorRT-LLM's tables.
- Context attention computed in FP8 is left out: whether an engine uses it is a setting of its own.
- Two types of product were not measured as they are served, and are left out: vLLM's `fp8_block`
  (never below 55 us, where its other types take 3 to 5: launched from Python, not from a graph),
  and TensorRT-LLM's `fp8` (never below 12 us: activations are quantised in kernels of their own,
  which servers fuse with the norm; with these rows its servers come out a fifth too slow).
- A few rows are there twice: their median is taken. The collectives say `TRTLLM` but are NCCL's.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from bursar.catalog import device
from bursar.cost.tables.operator import KINDS, OperatorTable
from bursar.errors import BadInput

_DTYPES = {
    "bfloat16": "bf16",
    "half": "fp16",
    "int8": "int8",
    "fp8": "fp8",
    "fp8_block": "fp8_block",
    "int8_wo": "int8_wo",
    "int4_wo": "int4_wo",
    "sq": "sq",
    "nvfp4": "fp4",
    "w4a16_mxfp4": "w4a16_mxfp4",
}
_BYTES = pl.col("message_size") * pl.when(pl.col("dtype") == "int8").then(1).otherwise(2)
_NOT_AS_SERVED = (("vllm", "fp8_block"), ("trtllm", "fp8"))
_COLLECTIVE = {"bytes": _BYTES, "devices": pl.col("num_gpus")}
_HEADS = {
    "batch": pl.col("batch_size"),
    "heads": pl.col("num_heads"),
    "kv_heads": pl.col("num_key_value_heads"),
    "head_dim": pl.col("head_dim"),
    "window": pl.col("window_size"),
}
_COLUMNS: dict[str, dict[str, pl.Expr]] = {
    "gemm": {name: pl.col(name) for name in "mnk"},
    "context_attention": {**_HEADS, "new": pl.col("isl"), "context": pl.lit(0)},
    "generation_attention": {**_HEADS, "length": pl.col("step") + pl.col("isl")},
    "moe": {
        "tokens": pl.col("num_tokens"),
        "hidden": pl.col("hidden_size"),
        "inner": pl.col("inter_size"),
        "experts": pl.col("num_experts"),
        "top_k": pl.col("topk"),
        "tp": pl.col("moe_tp_size"),
        "ep": pl.col("moe_ep_size"),
        "matrices": 3 - pl.col("kernel_source").str.contains("nongated").cast(pl.Int64),
        "skew": pl.col("distribution").str.extract(r"([\d.]+)$").cast(pl.Float64).fill_null(0.0),
    },
    "all_reduce": _COLLECTIVE,
    "all_gather": _COLLECTIVE,
    "reduce_scatter": _COLLECTIVE,
    "all_to_all": _COLLECTIVE,
}
_DTYPE_COLUMN = ("gemm_dtype", "moe_dtype", "kv_cache_dtype", "nccl_dtype", "allreduce_dtype")


def read_aiconfigurator(folder: Path, *, device_name: str | None = None) -> Iterator[OperatorTable]:
    """All tables below `folder`, or only one device's.

    Raises `BadInput` on a file without the columns named above.
    """
    for path in sorted(folder.rglob("*_perf.parquet")):
        system, _, engine, version = path.parts[-5:-1]
        name = device(system).name
        if device_name in (None, name):
            yield from _tables(path, name, engine, version)


def _tables(path: Path, name: str, engine: str, version: str) -> Iterator[OperatorTable]:
    frame = pl.read_parquet(path)
    if "window_size" not in frame.columns:
        frame = frame.with_columns(window_size=pl.lit(0))
    if "attn_dtype" in frame.columns:
        frame = frame.filter(pl.col("attn_dtype") != "fp8")
    if "backend" in frame.columns:
        frame = frame.filter(~pl.col("backend").str.contains("eager"))
    dtype = next((column for column in _DTYPE_COLUMN if column in frame.columns), None)
    if dtype is None or "latency" not in frame.columns or "op_name" not in frame.columns:
        raise BadInput(f"{path} is no operator table; it needs latency, op_name and a data type")
    frame = frame.with_columns(
        kind=pl.col("op_name").replace("alltoall", "all_to_all"),
        dtype=pl.col(dtype).replace_strict(_DTYPES, default=None),
    ).filter((pl.col("latency") > 0) & pl.col("dtype").is_not_null())
    for (kind, stored), part in frame.partition_by("kind", "dtype", as_dict=True).items():
        misleads = kind == "gemm" and (engine, stored) in _NOT_AS_SERVED
        if kind in _COLUMNS and not misleads:
            yield _table(part, str(kind), (name, engine, version), str(stored))


def _table(
    part: pl.DataFrame, kind: str, source: tuple[str, str, str], dtype: str
) -> OperatorTable:
    names = [*KINDS[kind].axes, *KINDS[kind].family]
    shapes = part.select(
        *(_COLUMNS[kind][name].cast(pl.Float64).alias(name) for name in names), "latency"
    )
    once = shapes.group_by(names, maintain_order=True).agg(pl.col("latency").median())
    shape = {name: once[name].to_numpy() for name in names}
    return OperatorTable(kind, *source, dtype, shape, once["latency"].to_numpy() / 1e3)
