"""`Engine`: what of a server's software shapes the operators of a step."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Engine:
    """Which server runs the model, and how it is set up.

    `name`: vllm, sglang, trtllm, or any other, whose tables and coefficients to prefer; None = any.
    `version`: prefers coefficients that were fitted to this version; none ship, since in published
    measurements a version comes with a model of its own.
    `block_scales`: FP8 weights have a scale per 128 x 128 block and not one per tensor; None = as
    the model's family is published. `ep`: experts are spread over so many groups of devices, each
    split within; None = all with data-parallel attention, 1 without. `skew`: exponent of the power
    law by which tokens choose experts (1.01 and 1.2 have tables, 0 is balanced; servers agree a
    little better with 1.01). `fused_attention`: prompts and decoding share one kernel (vLLM with
    FlashAttention-2), which costs more than one after the other.
    """

    name: str | None = None
    version: str = ""
    block_scales: bool | None = None
    ep: int | None = None
    skew: float = 1.01
    fused_attention: bool = False

    @classmethod
    def parse(cls, text: str) -> "Engine":
        """From "vllm" or "vllm 0.12.0"."""
        name, _, version = text.strip().partition(" ")
        return cls(name or None, version.strip())

    @property
    def label(self) -> str:
        """As `parse` takes it; "any" without a name."""
        return f"{self.name or 'any'} {self.version}".rstrip()
