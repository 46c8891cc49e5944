"""Experts as 8-bit codes whose first bits are the 4-bit and the 2-bit codes (D2MoE's nesting).

A group of weights spans [low, low + span); its b-bit code is floor((w - low) / span * 2^b), and the
weight it stands for is the middle of its cell. The first b bits of the 8-bit code are therefore the
b-bit code itself. The buffer holds all first two bits, then the next two, then the last four, so
that the weights at a width are a beginning of it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bursar.backends.moe.model import Expert, Floats, Ints, MixtureOfExperts
from bursar.errors import BadInput
from bursar.policies.expert_loading import BitRouter
from bursar.policies.expert_loading.base import WIDTHS

Bytes = NDArray[np.uint8]

GROUP = 16
"""Weights of one output that share a span."""


@dataclass(frozen=True, slots=True, eq=False)
class NestedMatrix:
    """A weight matrix (inputs, outputs) at 2, 4 and 8 bits in one buffer."""

    buffer: Bytes
    """(inputs * outputs,)"""
    low: Floats
    """(groups, 1)"""
    span: Floats
    """(groups, 1)"""
    shape: tuple[int, int]

    @classmethod
    def of(cls, weights: Floats) -> "NestedMatrix":
        """Quantise; raises `BadInput` unless the inputs are a multiple of `GROUP`."""
        if weights.shape[0] % GROUP:
            raise BadInput(f"{weights.shape[0]} inputs; they must be a multiple of {GROUP}")
        groups = weights.T.reshape(-1, GROUP)
        low = groups.min(1, keepdims=True)
        span = np.maximum(groups.max(1, keepdims=True) - low, np.float32(1e-12))
        code = np.minimum((groups - low) / span * 256, 255).astype(np.uint8).ravel()
        parts = [_packed(code >> 6, 2), _packed(code >> 4 & 3, 2), _packed(code & 15, 4)]
        return cls(np.concatenate(parts), low, span, weights.shape)

    def bytes_at(self, bits: int) -> int:
        """How much of the buffer the weights at `bits` are; spans come besides."""
        return len(self.buffer) * bits // 8

    def codes(self, bits: int) -> Bytes:
        """(inputs * outputs,) the codes at `bits`, from a beginning of the buffer alone."""
        quarter = len(self.buffer) // 4
        code = _unpacked(self.buffer[:quarter], 2)
        if bits > 2:
            code = (code << np.uint8(2)) | _unpacked(self.buffer[quarter : 2 * quarter], 2)
        if bits > 4:
            code = (code << np.uint8(4)) | _unpacked(self.buffer[2 * quarter :], 4)
        return code

    def at(self, bits: int) -> Floats:
        """The weights at `bits` (2, 4 or 8)."""
        code = self.codes(bits).reshape(-1, GROUP).astype(np.float32)
        groups = self.low + (code + np.float32(0.5)) * (self.span / np.float32(2**bits))
        return np.ascontiguousarray(groups.reshape(self.shape[::-1]).T)


class NestedExperts:
    """A `Mix` for `MixtureOfExperts.forward`: each token's experts at the widths `router` says."""

    def __init__(self, model: MixtureOfExperts, router: BitRouter) -> None:
        self.router = router
        self.nested = [
            [tuple(NestedMatrix.of(w) for w in (e.gate, e.up, e.down)) for e in layer]
            for layer in model.experts
        ]
        """By layer and number: gate, up, down."""
        # dense again once, not at every pass
        self._at = [
            [{bits: Expert(*(m.at(bits) for m in e)) for bits in WIDTHS} for e in layer]
            for layer in self.nested
        ]

    def __call__(self, layer: int, x: Floats, experts: Ints, shares: Floats) -> Floats:
        """See `Mix`."""
        widths = self.router.widths(shares)
        out = np.zeros_like(x)
        for expert in np.unique(experts).tolist():
            for bits in WIDTHS:
                rows, place = np.nonzero((experts == expert) & (widths == bits))
                if len(rows):
                    found = self._at[layer][expert][bits](x[rows])
                    out[rows] += shares[rows, place, None] * found
        return out


def _packed(code: Bytes, bits: int) -> Bytes:
    """Codes of `bits` bits side by side in bytes, the first in the highest bits."""
    per = 8 // bits
    shifts = np.arange(per - 1, -1, -1, dtype=np.uint8) * bits
    packed: Bytes = np.bitwise_or.reduce(code.reshape(-1, per) << shifts, axis=1).astype(np.uint8)
    return packed


def _unpacked(packed: Bytes, bits: int) -> Bytes:
    per = 8 // bits
    shifts = np.arange(per - 1, -1, -1, dtype=np.uint8) * bits
    code: Bytes = (packed[:, None] >> shifts & (2**bits - 1)).astype(np.uint8).ravel()
    return code
