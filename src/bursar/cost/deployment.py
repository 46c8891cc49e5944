"""`Deployment`: a model on devices, and how far from their datasheet those devices run."""

from dataclasses import dataclass, field

from bursar.catalog import Device, Grid, ModelSpec, dtype_bytes
from bursar.cost.calibration import Calibration, EngineLaw, Interval, shipped
from bursar.cost.tables.engine import Engine
from bursar.errors import BadInput


@dataclass(frozen=True, slots=True)
class Efficiency:
    """What a real server reaches of the datasheet, and what it adds.

    `compute`, `memory`, `link`: reached share of the peak rates. `seconds_per_layer`: launches and
    synchronisation in each layer and step; `seconds_per_collective`: latency of one all-reduce or
    hop. Before the first token come `seconds_per_request` (reading, tokenising, scheduling) and, of
    each other request in flight, the share `queue` of its prefill. `low`, `high`: factors around a
    predicted time.
    """

    compute: float = 1.0
    memory: float = 1.0
    link: float = 1.0
    seconds_per_layer: float = 0.0
    seconds_per_collective: float = 0.0
    seconds_per_request: float = 0.0
    queue: float = 0.0
    low: float = 1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        for name in ("compute", "memory", "link"):
            if not 0 < getattr(self, name) <= 1:
                raise BadInput(f"efficiency {name} = {getattr(self, name)}; must be in (0, 1]")
        if not 0 < self.low <= 1 <= self.high:
            raise BadInput(f"interval factors {self.low}, {self.high}; must enclose 1")


DATASHEET = Efficiency()
"""The bound: nothing is faster than this."""

MEASURED = Efficiency(
    compute=0.72,
    memory=0.72,
    link=0.41,
    seconds_per_layer=38e-6,
    seconds_per_collective=12e-6,
    seconds_per_request=0.08,
    queue=0.10,
    low=0.63,
    high=1.49,
)
"""Fitted by `benchmarks/cost_roofline.py --fit` on 485 measured vLLM, SGLang and TensorRT-LLM
servers on H100, H200, B200 and GB200. On 1,181 others, of models and devices not fitted: median
error 16 % on time between tokens (86 % inside `low`..`high`), 41 % on time to first token. Servers
of 2023 took half as long again (Splitwise); for other kinds of device it is an extrapolation."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model on `tp` x `pp` x `dp` devices.

    `tp` splits every matrix, `pp` the layers, `dp` the sequences (attention is replicated, experts
    are spread over `tp` x `dp`). `dtype` is what weights are stored in, `kv_dtype` the cache;
    a device without arithmetic in `dtype` computes in the next wider type. `pue` is the data
    centre's power over its computers' (1.56: mean of the Uptime Institute's survey of 2024); it
    enters grams of CO2e, not joules, which are the devices' own.

    Times are summed over operators as `engine` runs them: read from the measured tables of
    `calibration`, else from coefficients that were fitted to other devices. With `efficiency` they
    are a plain roofline's, at these shares of the datasheet's rates.
    """

    model: ModelSpec
    device: Device
    tp: int = 1
    pp: int = 1
    dp: int = 1
    dtype: str = "bf16"
    kv_dtype: str = "bf16"
    grid: Grid | None = None
    pue: float = 1.56
    engine: Engine = field(default_factory=Engine)
    calibration: Calibration = field(default_factory=shipped, repr=False)
    efficiency: Efficiency | None = None

    def __post_init__(self) -> None:
        for name in ("tp", "pp", "dp"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} = {getattr(self, name)}; must be 1 or more")
        if self.pp > self.model.layers:
            raise BadInput(
                f"pp = {self.pp}, but {self.model.name} has {self.model.layers} layers; use fewer"
            )
        if self.pue < 1:
            raise BadInput(f"pue = {self.pue}; a data centre draws at least what its computers do")
        if self.device.memory_bytes_per_second is None:
            raise BadInput(f"{self.device.name} has no known memory bandwidth; choose another")
        if self.devices > 1 and self.device.link_bytes_per_second is None:
            raise BadInput(f"{self.device.name} has no known link; use tp = pp = dp = 1")
        dtype_bytes(self.kv_dtype)
        self.device.flops_per_second(self.dtype)

    @property
    def devices(self) -> int:
        """Devices that work together."""
        return self.tp * self.pp * self.dp

    @property
    def reached(self) -> Efficiency:
        """Shares of the datasheet's rates, for models of a part of a step: its own, or usual."""
        return self.efficiency or MEASURED

    @property
    def law(self) -> EngineLaw:
        """What its server adds to the seconds of its steps."""
        if self.efficiency is None:
            return self.calibration.of(self.engine)
        return EngineLaw(
            first_seconds=self.efficiency.seconds_per_request,
            routed_seconds=0.0,
            prompt_factor=1.0,
            queue=self.efficiency.queue,
            handling_seconds=0.0,
        )

    def interval(self, tier: str, mode: str, metric: str) -> Interval:
        """Factors around a predicted time that enclose 80 of 100 measured ones."""
        if self.efficiency is None:
            return self.calibration.intervals[tier][mode][metric]
        return self.efficiency.low, self.efficiency.high
