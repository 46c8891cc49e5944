"""Whether a deployment fits: bytes on the fullest device, against what the device has."""

from dataclasses import dataclass

from bursar.catalog import dtype_bytes
from bursar.cost.deployment import Deployment
from bursar.cost.work import ACTIVATION_BYTES, kv_cache_bytes, weight_elements
from bursar.errors import Infeasible

USABLE = 0.9
"""Share of the memory for weights, cache and activations (the default of vLLM); the rest is the
driver's, the communicators' and lost to fragments."""

CHUNK_TOKENS = 2048
"""Most new tokens that one step is taken to run: it sets the activations."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on the fullest device. `capacity` is None where the device's memory is not known."""

    weights: float
    kv_cache: float
    activations: float
    capacity: float | None

    @property
    def total(self) -> float:
        """All of it."""
        return self.weights + self.kv_cache + self.activations

    @property
    def usable(self) -> float | None:
        """What there is for it."""
        return None if self.capacity is None else USABLE * self.capacity

    @property
    def fits(self) -> bool:
        """Whether it fits; an unknown capacity is taken to be enough."""
        return self.usable is None or self.total <= self.usable


def memory_bytes(deployment: Deployment, sequences: float, context: float) -> Memory:
    """What `sequences` sequences of `context` tokens each need, in all of the deployment."""
    place, model = deployment, deployment.model
    dense, experts, ends = weight_elements(model)
    weight = dtype_bytes(place.dtype)
    layers = (dense / place.tp + experts / (place.tp * place.dp)) * weight / place.pp
    # the first and the last stage hold one end each; quantised models leave both in 16 bits
    held_ends = ends * max(weight, ACTIVATION_BYTES) / place.tp
    if place.pp > 1 and not model.tied:
        held_ends /= 2
    one = float(kv_cache_bytes(model, context, place.kv_dtype, tp=place.tp))
    tokens = min(CHUNK_TOKENS, max(context, 1) * max(sequences, 1))
    return Memory(
        weights=layers + held_ends,
        kv_cache=one * sequences / (place.dp * place.pp),
        activations=tokens * 8 * model.hidden * ACTIVATION_BYTES,
        capacity=place.device.memory_bytes,
    )


def require_fit(deployment: Deployment, sequences: float, context: float) -> Memory:
    """The memory needed; raises `Infeasible` saying what is too large and by how much."""
    need = memory_bytes(deployment, sequences, context)
    if need.fits:
        return need
    usable, gib = need.usable or 0.0, 2.0**30
    remedy = (
        "use more devices (tp, pp) or a smaller dtype"
        if need.weights + need.activations > usable
        else f"use at most {max_sequences(deployment, context)} sequences, "
        "shorter ones, or kv_dtype fp8"
    )
    raise Infeasible(
        f"{deployment.model.name} in {deployment.dtype} with {sequences:g} x {context:g} tokens "
        f"needs {need.total / gib:.1f} GiB a device (weights {need.weights / gib:.1f}, cache "
        f"{need.kv_cache / gib:.1f}); {deployment.device.name} has {usable / gib:.1f} to use, "
        f"{(need.total - usable) / gib:.1f} too little: {remedy}"
    )


def max_sequences(deployment: Deployment, context: float) -> int | None:
    """How many sequences of `context` tokens fit beside the weights; None = not known."""
    empty = memory_bytes(deployment, 0, context)
    one = memory_bytes(deployment, 1, context).kv_cache
    if empty.usable is None or one <= 0:
        return None
    activations = CHUNK_TOKENS * 8 * deployment.model.hidden * ACTIVATION_BYTES
    return max(0, int((empty.usable - empty.weights - activations) // one))
