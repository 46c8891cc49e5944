"""The nouns of measured operators: a kind with its shape, the work it does, a table of seconds.

A shape is a dict of arrays that broadcast together. What each kind's shape holds:

gemm: m x n x k, a product of activations (m tokens, k wide) with a weight matrix to n columns;
context_attention: `batch` prompts of `new` tokens after `context` cached ones;
generation_attention: one new token in each of `batch` sequences, `length` cached tokens with it;
mixed_attention: both in one kernel, one prompt's chunk and `batch` sequences that decode;
moe: `tokens` through routed experts, `inner` wide, on the fullest of `tp` x `ep` devices;
all_reduce, all_gather, reduce_scatter, all_to_all, p2p: `bytes` of the whole tensor, on `devices`;
norm, activation, rotary, embedding, add: `tokens` x `width` numbers written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bursar.catalog import Device, dtype_bytes
from bursar.cost.work import ACTIVATION_BYTES, Array
from bursar.errors import BadInput

Shape: TypeAlias = Mapping[str, ArrayLike]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of operator: `axes` are sizes to interpolate over, `family` what tells kernels apart.

    `rising`: axes along which time cannot fall; elsewhere an engine's change of kernel may well
    make a larger problem faster.
    """

    axes: tuple[str, ...]
    family: tuple[str, ...] = ()
    rising: tuple[str, ...] = ()


_COLLECTIVE = Kind(("bytes", "devices"), rising=("bytes",))
_POINTWISE = Kind(("tokens", "width"), rising=("tokens", "width"))
_HEADS = ("heads", "kv_heads")
KINDS: dict[str, Kind] = {
    "gemm": Kind(("m", "n", "k")),
    "context_attention": Kind(
        ("batch", "new", "context", *_HEADS), ("head_dim", "window"), ("batch", "new", "context")
    ),
    "generation_attention": Kind(("batch", "length", *_HEADS), ("head_dim", "window")),
    "mixed_attention": Kind(
        ("new", "context", "batch", "length", *_HEADS), ("head_dim", "window"), ("new", "context")
    ),
    "moe": Kind(
        ("tokens", "tp", "ep"), ("hidden", "inner", "experts", "top_k", "matrices", "skew")
    ),
    "all_reduce": _COLLECTIVE,
    "all_gather": _COLLECTIVE,
    "reduce_scatter": _COLLECTIVE,
    "all_to_all": _COLLECTIVE,
    "p2p": _COLLECTIVE,
    "norm": _POINTWISE,
    "activation": _POINTWISE,
    "rotary": _POINTWISE,
    "embedding": _POINTWISE,
    "add": _POINTWISE,
}
"""Every kind of operator that can be measured or predicted."""

STORED: dict[str, str] = {
    "fp8_block": "fp8",
    "int8_wo": "int8",
    "int4_wo": "int4",
    "w4a16_mxfp4": "mxfp4",
    "sq": "int8",
}
"""Data types of kernels that are not data types of the catalogue: what their weights are stored as.

`fp8_block` has a scale per 128 x 128 block; `_wo` means weight-only, arithmetic in 16 bits; `sq` is
SmoothQuant, arithmetic in 8."""


@dataclass(frozen=True, slots=True)
class OperatorTable:
    """Measured seconds of one kind of operator, one row per shape.

    `device` is a name of the catalogue; `dtype` what weights (gemm, moe), the cache (attention) or
    the message are stored in. `shape` has one array per axis and family of the kind.
    """

    kind: str
    device: str
    engine: str
    version: str
    dtype: str
    shape: dict[str, Array]
    seconds: Array

    def __post_init__(self) -> None:
        wanted = {*KINDS[self.kind].axes, *KINDS[self.kind].family}
        if set(self.shape) != wanted:
            raise BadInput(f"a table of {self.kind} needs {sorted(wanted)}, not {set(self.shape)}")
        if self.seconds.size == 0 or not np.all(np.isfinite(self.seconds) & (self.seconds > 0)):
            raise BadInput(
                f"the {self.kind} table of {self.engine} on {self.device} has times that are not "
                "above zero; leave such rows out"
            )

    @property
    def rows(self) -> int:
        """Measured points."""
        return self.seconds.size

    def chosen(self, rows: NDArray[Any]) -> "OperatorTable":
        """Only the rows that a mask or index picks."""
        shape = {name: column[rows] for name, column in self.shape.items()}
        return OperatorTable(
            self.kind, self.device, self.engine, self.version, self.dtype, shape, self.seconds[rows]
        )


@dataclass(frozen=True, slots=True)
class Load:
    """What an operator asks of one device: FLOPs, bytes of its memory, bytes over its link."""

    flops: Array
    memory_bytes: Array
    link_bytes: Array


def load(kind: str, dtype: str, shape: Shape) -> Load:
    """The least work that the operator can do. Raises `BadInput` on an unknown data type."""
    x = {name: np.asarray(value, dtype=np.float64) for name, value in shape.items()}
    if KINDS[kind] is _COLLECTIVE:
        return Load(np.zeros_like(x["bytes"]), np.zeros_like(x["bytes"]), _wire_bytes(kind, x))
    weight = dtype_bytes(STORED.get(dtype, dtype))
    if kind == "gemm":
        flops, moved = _gemm(x, weight, ACTIVATION_BYTES if _widens(dtype) else weight)
    elif kind == "moe":
        flops, moved = _moe(x, weight)
    elif kind == "context_attention":
        flops, moved = _context_attention(x, weight)
    elif kind == "generation_attention":
        flops, moved = _generation_attention(x, weight)
    elif kind == "mixed_attention":
        flops, moved = _context_attention({**x, "batch": np.ones(())}, weight)
        more_flops, more_moved = _generation_attention(x, weight)
        flops, moved = flops + more_flops, moved + more_moved
    else:
        flops = np.zeros(np.broadcast_shapes(x["tokens"].shape, x["width"].shape))
        moved = x["tokens"] * x["width"] * ACTIVATION_BYTES * _TOUCHES[kind]
    return Load(flops, moved, np.zeros_like(moved))


def peak_flops(device: Device, kind: str, dtype: str) -> float:
    """Datasheet FLOP/s in which an operator of this type computes."""
    narrow = kind in ("gemm", "moe") and not _widens(dtype)
    return device.flops_per_second(STORED.get(dtype, dtype) if narrow else "bf16")


_TOUCHES = {"norm": 4.0, "activation": 3.0, "rotary": 2.0, "embedding": 2.0, "add": 3.0}
# reads and writes per number written: a norm also adds the residual, an activation has two inputs


def _widens(dtype: str) -> bool:
    return dtype in ("int8_wo", "int4_wo", "int4") or dtype.startswith("w4a16")


def _gemm(x: dict[str, Array], weight: float, activation: float) -> tuple[Array, Array]:
    m, n, k = x["m"], x["n"], x["k"]
    return 2.0 * m * n * k, n * k * weight + m * k * activation + m * n * ACTIVATION_BYTES


def _context_attention(x: dict[str, Array], cache: float) -> tuple[Array, Array]:
    new, end = x["new"], x["context"] + x["new"]
    window = np.where(x["window"] > 0, x["window"], end)
    pairs = _capped_sum(end, window) - _capped_sum(x["context"], window)
    flops = 4.0 * x["batch"] * pairs * x["heads"] * x["head_dim"]
    seen = np.minimum(end, window + new - 1.0)
    own = 2.0 * new * x["heads"] * x["head_dim"] * ACTIVATION_BYTES
    return flops, x["batch"] * (2.0 * seen * x["kv_heads"] * x["head_dim"] * cache + own)


def _capped_sum(last: Array, window: Array) -> Array:
    """Sum over positions 1..last of min(position, window): what causal attention sees."""
    inside = np.minimum(last, window)
    return np.asarray(inside * (inside + 1.0) / 2.0 + (last - inside) * window)


def _generation_attention(x: dict[str, Array], cache: float) -> tuple[Array, Array]:
    seen = np.where(x["window"] > 0, np.minimum(x["length"], x["window"]), x["length"])
    flops = 4.0 * x["batch"] * seen * x["heads"] * x["head_dim"]
    own = 2.0 * x["heads"] * x["head_dim"] * ACTIVATION_BYTES
    return flops, x["batch"] * (2.0 * seen * x["kv_heads"] * x["head_dim"] * cache + own)


def _moe(x: dict[str, Array], weight: float) -> tuple[Array, Array]:
    one = x["matrices"] * x["hidden"] * x["inner"] / x["tp"]  # an expert's numbers on one device
    routed = x["tokens"] * x["top_k"] / x["ep"]
    touched = x["experts"] / x["ep"] * (1.0 - (1.0 - x["top_k"] / x["experts"]) ** x["tokens"])
    widths = 2.0 * x["hidden"] + x["matrices"] * x["inner"] / x["tp"]
    return 2.0 * routed * one, touched * one * weight + routed * widths * ACTIVATION_BYTES


def _wire_bytes(kind: str, x: dict[str, Array]) -> Array:
    """Bytes that each device sends in a ring (all_reduce: reduce-scatter, then all-gather)."""
    if kind == "p2p":
        return x["bytes"] + 0.0 * x["devices"]
    share = (x["devices"] - 1.0) / x["devices"]
    return x["bytes"] * share * (2.0 if kind == "all_reduce" else 1.0)
