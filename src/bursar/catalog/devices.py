"""Devices: what they can compute, hold, move, draw and cost."""

from functools import cache
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bursar.catalog.entry import Bytes, Entry, Flops, Positive, find, read_table
from bursar.errors import BadInput

DTYPE_BYTES: dict[str, float] = {
    "fp64": 8.0,
    "fp32": 4.0,
    "tf32": 4.0,
    "bf16": 2.0,
    "fp16": 2.0,
    "fp8": 1.0,
    "int8": 1.0,
    "fp6": 0.75,
    "fp4": 0.5625,  # 4 bits and one 8-bit scale per 16 values (NVFP4)
    "mxfp4": 0.53125,  # 4 bits and one 8-bit scale per 32 values
    "int4": 0.53125,  # 4 bits and one 16-bit scale and zero per 128, as GPTQ and AWQ store it
}
"""Bytes that one stored number takes, its share of the scales included."""

# A device without arithmetic in a type computes in the next of these (weight-only quantisation).
_COMPUTES_IN: dict[str, tuple[str, ...]] = {
    "fp64": ("fp64",),
    "fp32": ("fp32",),
    "tf32": ("tf32", "fp32"),
    "bf16": ("bf16", "fp16", "fp32", "int8"),
    "fp16": ("fp16", "bf16", "fp32", "int8"),
    "fp8": ("fp8", "bf16", "fp16", "fp32", "int8"),
    "int8": ("int8", "fp8", "bf16", "fp16", "fp32"),
    "fp6": ("fp6", "fp8", "bf16", "fp16", "fp32", "int8"),
    "fp4": ("fp4", "fp8", "bf16", "fp16", "fp32", "int8"),
    "mxfp4": ("fp4", "fp8", "bf16", "fp16", "fp32", "int8"),
    "int4": ("bf16", "fp16", "fp32", "int8"),
}


class Device(Entry):
    """One device. Rates are datasheet peaks, dense; None where not known.

    `peak_flops` by data type in FLOP/s (integer types: operations/s). `link_bytes_per_second` is
    the total per device, both directions. `usd_per_hour` is a list rental price of one device.
    """

    full_name: str
    vendor: str
    kind: Literal["gpu", "tpu", "accelerator", "cpu", "edge", "phone", "fpga", "pim", "mcu"]
    peak_flops: Annotated[dict[str, Flops], Field(min_length=1)]
    memory_bytes: Bytes | None = None
    memory_bytes_per_second: Bytes | None = None
    link: str | None = None
    link_bytes_per_second: Bytes | None = None
    tdp_watts: Positive | None = None
    idle_watts: Positive | None = None
    usd_per_hour: Positive | None = None

    @model_validator(mode="after")
    def _plausible(self) -> Self:
        if unknown := set(self.peak_flops) - set(DTYPE_BYTES):
            raise ValueError(f"unknown data types {sorted(unknown)}")
        if self.idle_watts and self.tdp_watts and self.idle_watts > self.tdp_watts:
            raise ValueError("idle_watts is above tdp_watts")
        for field in ("idle_watts", "usd_per_hour"):  # never on a datasheet
            if getattr(self, field) is not None and field not in self.other:
                raise ValueError(f"{field} needs its own source or estimate in `other`")
        return self

    def flops_per_second(self, dtype: str) -> float:
        """Peak rate for numbers stored as `dtype`: its own arithmetic, or the next wider that is.

        Raises `BadInput` on a data type that is not known.
        """
        if dtype not in _COMPUTES_IN:
            raise BadInput(f"unknown data type {dtype!r}; use one of {', '.join(DTYPE_BYTES)}")
        for candidate in _COMPUTES_IN[dtype]:
            if candidate in self.peak_flops:
                return self.peak_flops[candidate]
        raise BadInput(
            f"{self.name} computes in {', '.join(self.peak_flops)}, none of which serves {dtype}"
        )


@cache
def devices() -> dict[str, Device]:
    """All devices by name."""
    return read_table("devices.toml", Device)


def device(name: str) -> Device:
    """The device called `name`; `BadInput` with close matches if there is none."""
    return find("device", devices(), name)


def dtype_bytes(dtype: str) -> float:
    """Bytes that one number stored as `dtype` takes; `BadInput` if the type is not known."""
    if dtype not in DTYPE_BYTES:
        raise BadInput(f"unknown data type {dtype!r}; use one of {', '.join(DTYPE_BYTES)}")
    return DTYPE_BYTES[dtype]
