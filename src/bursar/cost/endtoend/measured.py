"""Reads measured servers from a CSV of the format of AIConfigurator's published comparisons.

What the columns mean, as found in the data:

- `silicon_concurrency=N` in `silicon_data_source` is the requests in flight over all devices;
  without it they are `batch_size` on each data-parallel rank of each worker.
- `moe_tp_size` x `moe_ep_size` are the devices that share the experts. Where both are n and the
  attention's `tp_size` (or `attention_dp_size`) is n x n, the server has n devices. `tp` = `dp` = n
  with `moe_ep_size` n x n is data-parallel attention on n devices. More devices with experts than
  with attention: attention is data-parallel over the rest.
- Disaggregated rows without `decode_num_workers` do not state how many replicas decode; nor do
  aggregated rows of more than eight tensor-parallel devices, which give a fleet's total.
- Whether tokens are predicted ahead (speculative decoding) is stated nowhere.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from bursar.catalog import Device, ModelSpec
from bursar.cost.deployment import Deployment
from bursar.cost.endtoend.named import Named, named_device, named_model
from bursar.cost.endtoend.served import Pool, Served
from bursar.cost.endtoend.topology import NODE
from bursar.cost.tables import Engine
from bursar.errors import BadInput

_NEEDED = ("backend", "model_path", "system", "precision", "mode", "isl", "osl")
_MEASURED = ("silicon_ttft_ms", "silicon_tpot_ms")
_DTYPES = {"": "bf16", "bf16": "bf16", "fp16": "bf16", "fp8": "fp8", "fp4": "fp4", "nvfp4": "fp4"}
_MORE_DTYPES = {"mxfp4": "mxfp4", "int8": "int8", "int4": "int4", "w4a16": "int4", "w8a8": "int8"}


@dataclass(frozen=True, slots=True)
class Measured:
    """One row. `ttft_seconds`, `tpot_seconds` as measured; `notes`: what had to be assumed."""

    name: str
    served: Served
    version: str
    ttft_seconds: float
    tpot_seconds: float
    notes: tuple[str, ...]

    @property
    def group(self) -> str:
        """Model and device: rows of one group are never predicted from one another."""
        place = self.served.decode.place
        return f"{place.model.name} on {place.device.name}"


def read_measured(path: str | Path) -> list[Measured]:
    """All rows, in the file's order. Raises `BadInput` naming a column that is missing or a row."""
    try:
        frame = pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadInput(f"{path} can't be read as CSV: {error}") from None
    if missing := [name for name in (*_NEEDED, *_MEASURED) if name not in frame.columns]:
        raise BadInput(f"{path} has no column {', '.join(missing)}; see measured_end_to_end.csv")
    rows = frame.with_columns(pl.all().fill_null("")).iter_rows(named=True)
    return [_measured(_Row(row, number)) for number, row in enumerate(rows, start=2)]


@dataclass(frozen=True, slots=True)
class _Row:
    cells: dict[str, str]
    line: int

    def text(self, column: str) -> str:
        return self.cells.get(column, "").strip()

    def number(self, column: str) -> float | None:
        try:
            value = float(self.text(column)) if self.text(column) else None
        except ValueError:
            value = -1.0
        if value is not None and not 0 <= value < float("inf"):
            raise BadInput(f"line {self.line}: {column} = {self.text(column)!r}; not a number >= 0")
        return value

    def needed(self, column: str) -> float:
        value = self.number(column)
        if not value:
            raise BadInput(f"line {self.line}: {column} must be a number above 0")
        return value

    def size(self, column: str) -> int | None:
        """A parallel size; 0 stands for not given, as in published files."""
        return int(self.number(column) or 0) or None


def _measured(row: _Row) -> Measured:
    model, device = named_model(row.text("model_path")), named_device(row.text("system"))
    split = row.text("mode") == "disagg"
    scaled = row.text("gemm_quant_mode") == "fp8_block"
    engine = Engine(
        row.text("backend"), row.text("backend_version"), block_scales=True if scaled else None
    )
    decode, workers = _pool(row, model, device, engine, "decode_" if split else "")
    served = Served(
        decode=decode,
        in_flight=_in_flight(row, decode, workers, "decode_" if split else ""),
        tokens_in=int(row.needed("isl")),
        tokens_out=max(2, int(row.needed("osl"))),
        prefill=_pool(row, model, device, engine, "prefill_")[0] if split else None,
    )
    return Measured(
        name=row.text("id"),
        served=served,
        version=row.text("backend_version"),
        ttft_seconds=row.needed("silicon_ttft_ms") / 1e3,
        tpot_seconds=row.needed("silicon_tpot_ms") / 1e3,
        notes=tuple(named.note for named in (model, device) if named.note),
    )


def _pool(
    row: _Row, model: Named[ModelSpec], device: Named[Device], engine: Engine, prefix: str
) -> tuple[Pool, int]:
    """The pool, and its workers or 1."""
    sizes = ("tp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size")
    tp, dp, split, ep = (row.size(prefix + size) for size in sizes)
    together = (split or 1) * (ep or 1)
    tp, dp = _attention(tp or 1, dp, split or 1, ep or 1)
    dtype = _dtype(row)
    small_cache = engine.name == "trtllm" and dtype in ("fp8", "fp4")
    groups = min(ep or 1, tp * dp) if together > 1 or dp == 1 else None
    place = Deployment(
        model.found,
        device.found,
        tp=tp,
        dp=dp,
        pp=row.size(prefix + "pp_size") or 1,
        dtype=dtype,
        kv_dtype="fp8" if small_cache else "bf16",
        engine=replace(engine, ep=groups),
    )
    workers = row.size(prefix + "num_workers") if prefix else (1 if tp <= NODE else None)
    return Pool(place, workers), workers or 1


def _attention(tp: int, dp: int | None, split: int, ep: int) -> tuple[int, int]:
    """(tp, dp) of the attention; see the head of this file."""
    together = split * ep
    if split == ep > 1 and tp * (dp or 1) == together:
        return (ep, 1) if (dp or 1) == 1 else (1, ep)
    if dp is None:
        return tp, max(1, together // tp)
    if tp == dp > 1 and ep == tp * tp:
        return 1, tp
    return tp, dp


def _dtype(row: _Row) -> str:
    known = {**_DTYPES, **_MORE_DTYPES}
    name = row.text("precision").lower()
    if name not in known:
        raise BadInput(f"line {row.line}: precision {name!r}; use one of {', '.join(known)}")
    return known[name]


def _in_flight(row: _Row, pool: Pool, workers: int, prefix: str) -> float:
    stated = re.search(r"silicon_concurrency=(\d+)", row.text("silicon_data_source"))
    if stated:
        return max(1.0, float(stated[1]))
    return max(1.0, (row.number(f"{prefix}batch_size") or 1.0) * pool.place.dp * workers)
