"""Reads Vidur's profiles: `compute/<device>/<org>/<model>/mlp.csv`, `network/<node>/*.csv`.

Units and traps of the format, as found in the data:

- `time_stats.<operator>.median` is in milliseconds, rounded to a microsecond: below 10 us rounding
  alone is 5 % and more, so such rows are left out.
- `mlp_up_proj` is gate and up projection in one; `n_expanded_embd` is the width of one of them.
- Matrices are split over `num_tensor_parallel_workers`, norms and sums are not; every shape was
  measured in several rounds: their median is taken.
- `size` of a collective is in bytes. `devices_per_node` below `num_workers` is a run between nodes
  and is left out. The folder names the node: an `a100_dgx` is switched, `pairwise` is not.
- Attention profiles are not part of the published set; one engine's version is not stated.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from bursar.catalog import device
from bursar.cost.tables.operator import OperatorTable
from bursar.errors import BadInput

_LEAST_MS = 0.010
_TP = pl.col("num_tensor_parallel_workers")
_HIDDEN, _HEADS, _KV_HEADS = pl.col("n_embd"), pl.col("n_head"), pl.col("n_kv_head")
_HEAD_DIM = _HIDDEN / _HEADS
_TOKENS = pl.col("num_tokens")
_WIDE = pl.col("n_expanded_embd") * pl.when(pl.col("use_gated_mlp")).then(2).otherwise(1)
_QKV = (_HEADS + 2 * _KV_HEADS) * _HEAD_DIM / _TP


def _product(n: pl.Expr, k: pl.Expr) -> dict[str, pl.Expr]:
    return {"m": _TOKENS, "n": n, "k": k}


def _pointwise(width: pl.Expr) -> dict[str, pl.Expr]:
    return {"tokens": _TOKENS, "width": width}


_OPERATORS: dict[str, tuple[str, dict[str, pl.Expr]]] = {
    "attn_pre_proj": ("gemm", _product(_QKV, _HIDDEN)),
    "attn_post_proj": ("gemm", _product(_HIDDEN, _HIDDEN / _TP)),
    "mlp_up_proj": ("gemm", _product(_WIDE / _TP, _HIDDEN)),
    "mlp_down_proj": ("gemm", _product(_HIDDEN, pl.col("n_expanded_embd") / _TP)),
    "input_layernorm": ("norm", _pointwise(_HIDDEN)),
    "post_attention_layernorm": ("norm", _pointwise(_HIDDEN)),
    "mlp_act": ("activation", _pointwise(pl.col("n_expanded_embd") / _TP)),
    "attn_rope": ("rotary", _pointwise((_HEADS + _KV_HEADS) * _HEAD_DIM / _TP)),
    "add": ("add", _pointwise(_HIDDEN)),
}


def read_vidur(folder: Path, *, device_name: str | None = None) -> Iterator[OperatorTable]:
    """One table per device and kind of operator, from all models and nodes below `folder`."""
    found: dict[tuple[str, str], list[pl.DataFrame]] = {}
    for path in sorted(folder.rglob("compute/*/*/*/mlp.csv")):
        name = device(path.parts[-4]).name
        if device_name in (None, name):
            for kind, frame in _compute(path):
                found.setdefault((name, kind), []).append(frame)
    for kind, file in (("all_reduce", "all_reduce.csv"), ("p2p", "send_recv.csv")):
        for path in sorted(folder.rglob(f"network/*_dgx/{file}")):
            name = device(path.parent.name.removesuffix("_dgx")).name
            if device_name in (None, name):
                found.setdefault((name, kind), []).append(_network(path))
    for (name, kind), frames in found.items():
        yield _table(pl.concat(frames), name, kind)


def _compute(path: Path) -> Iterator[tuple[str, pl.DataFrame]]:
    frame = pl.read_csv(path)
    for operator, (kind, shape) in _OPERATORS.items():
        column = f"time_stats.{operator}.median"
        if column in frame.columns:
            yield kind, _select(frame, path, column, shape)


def _network(path: Path) -> pl.DataFrame:
    frame = pl.read_csv(path).filter(pl.col("devices_per_node") == pl.col("num_workers"))
    shape = {"bytes": pl.col("size"), "devices": pl.col("num_workers")}
    return _select(frame, path, f"time_stats.{path.stem}.median", shape)


def _select(
    frame: pl.DataFrame, path: Path, column: str, shape: dict[str, pl.Expr]
) -> pl.DataFrame:
    try:
        chosen = frame.select(
            *(sized.cast(pl.Float64).alias(name) for name, sized in shape.items()),
            pl.col(column).cast(pl.Float64).alias("milliseconds"),
        )
    except pl.exceptions.ColumnNotFoundError as error:
        raise BadInput(f"{path} is no Vidur profile: it has no column {error}") from None
    return chosen.filter(pl.col("milliseconds") >= _LEAST_MS)


def _table(frame: pl.DataFrame, name: str, kind: str) -> OperatorTable:
    names = frame.columns[:-1]
    once = frame.group_by(names).agg(pl.col("milliseconds").median()).sort(names)
    shape = {axis: once[axis].to_numpy() for axis in names}
    seconds = once["milliseconds"].to_numpy() / 1e3
    return OperatorTable(kind, name, "vidur", "unknown", "fp16", shape, seconds)
