"""Reads LLMServingSim's profiles: `<DEVICE>/<org>/<model>/<dtype>/tp<n>/{dense,...}.csv`.

Units and traps of the format, as found in the data:

- `time_us` is in microseconds, of one layer of one device with its share of the matrices.
- Shapes are not in the files: a projection's width follows from the model that the folder names.
- `attention.csv` holds prompts alone (`n_decode` = 0), decoding alone (`prefill_chunk` = 0), and
  both in one kernel. Together they take longer than one after the other (RTX 4090: 1.4 times at
  the median, 2.5 times in every tenth row): decoding loses its own way of splitting the cache.
- `lm_head` depends on sequences, not tokens (`per_sequence.csv`). The sampler there is no product
  of matrices and is left to the engine's overhead; `skew.csv` is not read.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from bursar.catalog import Attention, Mlp, ModelSpec, device, model
from bursar.cost.tables.operator import KINDS, OperatorTable
from bursar.errors import BadInput

_GEMMS = {"qkv_proj", "o_proj", "gate_up_proj", "down_proj", "lm_head"}
_POINTWISE = {
    "layernorm": "norm",
    "act_fn": "activation",
    "rotary_emb": "rotary",
    "embedding": "embedding",
}


def read_llmservingsim(folder: Path, *, device_name: str | None = None) -> Iterator[OperatorTable]:
    """One table per device, kind and data type, from all models and `tp` below `folder`."""
    found: dict[tuple[str, str, str], list[pl.DataFrame]] = {}
    for path in sorted(folder.rglob("tp*/dense.csv")):
        hardware, org, name, dtype, tp = path.parts[-6:-1]
        place = device(re.sub(r"^(rtx)(pro)?(?=\d)", _spaced, hardware.lower())).name
        if device_name in (None, place):
            spec, ways = model(f"{org}/{name}"), int(tp.removeprefix("tp"))
            for kind, frame in _frames(path.parent, spec, ways):
                found.setdefault((place, kind, dtype), []).append(frame)
    for (place, kind, dtype), frames in found.items():
        yield _table(pl.concat(frames), place, kind, dtype)


def _spaced(hardware: re.Match[str]) -> str:
    return "rtx-pro-" if hardware.group(2) else "rtx-"


def _frames(folder: Path, spec: ModelSpec, tp: int) -> Iterator[tuple[str, pl.DataFrame]]:
    attention = [block for block in spec.blocks if isinstance(block, Attention)]
    mlps = [block for block in spec.blocks if isinstance(block, Mlp)]
    if len(attention) != 1 or len(mlps) != 1:
        raise BadInput(f"{folder}: {spec.name} is not dense with one kind of attention; leave out")
    shapes = _widths(spec, attention[0], mlps[0], tp)
    for file, size in (("dense.csv", "tokens"), ("per_sequence.csv", "sequences")):
        for (layer,), part in pl.read_csv(folder / file).group_by("layer"):
            if layer in shapes:
                kind = "gemm" if layer in _GEMMS else _POINTWISE[str(layer)]
                first = KINDS[kind].axes[0]
                sized = {name: pl.lit(float(value)) for name, value in shapes[layer].items()}
                yield kind, _select(part, kind, {first: pl.col(size), **sized})
    yield from _attention(pl.read_csv(folder / "attention.csv"), attention[0], tp)


def _widths(
    spec: ModelSpec, attention: Attention, mlp: Mlp, tp: int
) -> dict[object, dict[str, float]]:
    queries = attention.query_heads * attention.key_dim / tp
    keys = max(1.0, attention.kv_heads / tp) * attention.key_dim
    return {
        "qkv_proj": {"n": queries + 2 * keys, "k": spec.hidden},
        "o_proj": {"n": spec.hidden, "k": queries},
        "gate_up_proj": {"n": 2 * mlp.inner / tp, "k": spec.hidden},
        "down_proj": {"n": spec.hidden, "k": mlp.inner / tp},
        "lm_head": {"n": spec.vocabulary / tp, "k": spec.hidden},
        "layernorm": {"width": spec.hidden},
        "act_fn": {"width": mlp.inner / tp},
        "rotary_emb": {"width": queries + keys},
        "embedding": {"width": spec.hidden},
    }


def _attention(
    frame: pl.DataFrame, block: Attention, tp: int
) -> Iterator[tuple[str, pl.DataFrame]]:
    prompt, decode = pl.col("prefill_chunk") > 0, pl.col("n_decode") > 0
    heads = {
        "heads": pl.lit(block.query_heads / tp),
        "kv_heads": pl.lit(max(1.0, block.kv_heads / tp)),
        "head_dim": pl.lit(block.key_dim),
        "window": pl.lit(0),
    }
    new = {"new": pl.col("prefill_chunk"), "context": pl.col("kv_prefill")}
    running = {"batch": pl.col("n_decode"), "length": pl.col("kv_decode")}
    for kind, rows, shape in (
        ("context_attention", prompt & ~decode, {"batch": pl.lit(1), **new}),
        ("generation_attention", decode & ~prompt, running),
        ("mixed_attention", prompt & decode, {**new, **running}),
    ):
        yield kind, _select(frame.filter(rows), kind, {**shape, **heads})


def _select(frame: pl.DataFrame, kind: str, shape: dict[str, pl.Expr]) -> pl.DataFrame:
    names = (*KINDS[kind].axes, *KINDS[kind].family)
    return frame.select(
        *(shape[name].cast(pl.Float64).alias(name) for name in names),
        pl.col("time_us").cast(pl.Float64),
    )


def _table(frame: pl.DataFrame, place: str, kind: str, dtype: str) -> OperatorTable:
    names = frame.columns[:-1]
    once = frame.group_by(names).agg(pl.col("time_us").median()).sort(names)
    shape = {axis: once[axis].to_numpy().astype(np.float64) for axis in names}
    seconds = once["time_us"].to_numpy() / 1e6
    return OperatorTable(kind, place, "llmservingsim", "unknown", dtype, shape, seconds)
