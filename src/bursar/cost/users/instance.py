"""`Instance`: a model on so many devices of one kind, as what its steps have to do."""

from dataclasses import dataclass

from bursar.catalog import Device, ModelSpec, dtype_bytes
from bursar.cost.work import residual_writes
from bursar.errors import BadInput, Infeasible

USABLE = 0.9
"""Share of the memory for weights and caches."""


@dataclass(frozen=True, slots=True)
class Instance:
    """Seconds are the least that the datasheet allows.

    `weights_seconds` reads the weights once; `prompt_seconds` and `link_seconds` compute and
    exchange one token of a prompt; `cache_seconds` reads the cache of one token. `layers` that mix
    tokens; `exchanges` among the devices in a step, 0 for one device; `cache_tokens` fit beside the
    weights. `padded`: a batch is padded to its longest request, and its caches are copied whenever
    it changes (engines without fused attention over ragged batches). `encoded`: an encoder runs the
    prompts.
    """

    weights_seconds: float
    prompt_seconds: float
    link_seconds: float
    cache_seconds: float
    layers: float
    exchanges: float
    cache_tokens: float
    padded: bool
    encoded: bool


def instance_of(
    model: ModelSpec,
    device: Device,
    count: int = 1,
    *,
    dtype: str = "fp16",
    padded: bool = False,
    encoder: ModelSpec | None = None,
) -> Instance:
    """`model` split over `count` devices; with an `encoder`, that runs the prompts.

    Raises `BadInput` for a device of unknown memory, bandwidth or link, `Infeasible` where the
    weights leave no room.
    """
    bandwidth, memory = device.memory_bytes_per_second, device.memory_bytes
    link = device.link_bytes_per_second
    if bandwidth is None or memory is None or (count > 1 and link is None):
        raise BadInput(f"memory, bandwidth or link of {device.name} is not known; choose another")
    width = dtype_bytes(dtype)
    encodes = 0 if encoder is None else encoder.active_parameters - encoder.head_parameters
    free = USABLE * memory * count - width * (model.parameters + encodes)
    cache = model.kv_bytes_per_token(dtype)
    if free < cache:
        raise Infeasible(
            f"{model.name} in {dtype} does not fit {count} x {device.name}: {-free / 2**30:.1f} "
            "GiB too little for its weights; use more devices"
        )
    exchanges = residual_writes(model) if count > 1 else 0
    sent = exchanges * model.hidden * width * 2.0 * (count - 1) / count
    return Instance(
        weights_seconds=width * model.active_parameters / (bandwidth * count),
        prompt_seconds=2.0
        * (encodes or model.active_parameters)
        / (device.flops_per_second(dtype) * count),
        link_seconds=sent / ((link or 1.0) / 2.0),
        cache_seconds=cache / (bandwidth * count),
        layers=float(model.layers),
        exchanges=float(exchanges),
        cache_tokens=free / cache,
        padded=padded,
        encoded=encoder is not None,
    )
