"""What is served and how: the replicas, what they run on, and the load they are measured under."""

from dataclasses import dataclass

from bursar.cost.deployment import Deployment
from bursar.errors import BadInput


@dataclass(frozen=True, slots=True)
class Pool:
    """`workers` equal replicas of one deployment; None = not known how many, nor how wide.

    `ep`: groups of devices that the experts are spread over, as in `tables.Engine`.
    """

    place: Deployment
    workers: int | None = 1
    ep: int | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """A server under closed-loop load: `in_flight` users, each with one request at a time.

    `decode` runs everything, or only decoding where prompts have a pool of their own, `prefill`.
    `engine`: vllm, sglang, trtllm, or any other name. `block_scales`: FP8 weights are scaled by
    blocks (see `tables.Engine`). Prompts have `tokens_in` tokens, of which `cached_in` are in the
    cache already; answers have `tokens_out`.
    """

    engine: str
    decode: Pool
    in_flight: float
    tokens_in: int
    tokens_out: int
    prefill: Pool | None = None
    block_scales: bool = False
    cached_in: int = 0

    def __post_init__(self) -> None:
        if self.tokens_in < 1 or self.tokens_out < 2:
            raise BadInput(
                f"{self.tokens_in} tokens in, {self.tokens_out} out; give at least 1 in and 2 out, "
                "there is no time between tokens otherwise"
            )
        if not 0 <= self.cached_in < self.tokens_in:
            raise BadInput(
                f"{self.cached_in} of {self.tokens_in} input tokens cached; "
                "one at least must be new"
            )
        if not self.in_flight >= 1:
            raise BadInput(f"{self.in_flight:g} requests in flight; must be 1 or more")

    @property
    def mode(self) -> str:
        """aggregated, disaggregated, or unstated: over an unknown number of workers."""
        if self.decode.workers is None:
            return "unstated"
        return "aggregated" if self.prefill is None else "disaggregated"
