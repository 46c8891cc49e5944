"""TokenWeave: splits a batch's tokens by waves, so that each part hides the other's collectives.

Paper: Raja Gond, Nipun Kwatra, Ramachandran Ramjee, "TokenWeave: Efficient Compute-Communication
    Overlap for Distributed LLM Inference", 2025, arXiv:2505.11329; section 3 (splitting by waves,
    the fused collective).
Symbols: SMs -> WaveDevice.units; SMs of the fused AllReduce-RMSNorm -> WaveDevice.link_units;
    CTAs -> tiles.
Differs: the paper looks for a split whose parts take no more waves than the whole; with four
    matrices of different width in a layer few splits do, so here waves added are weighed against
    the collectives that they hide, by the longer of the two in each of a layer's four slots.
    Attention is left out of the layer (its work does not depend on the split).
Checked: tests/papers/test_tokenweave.py: two models of 70 billion parameters on H100, 1,024 to
    16,384 tokens: faster than no split on all and no slower than halves on nine in ten (faster on
    three in four; the others are halves at whole waves); it declines where every split adds waves.
Seed: 138
"""

from dataclasses import dataclass

from bursar.allocate.overlap.waves import WaveDevice


@dataclass(frozen=True, slots=True)
class TokenWeave:
    """Looks at every split at whole tiles; `(tokens,)` where none is faster than the whole."""

    def split(self, device: WaveDevice, tokens: int) -> tuple[int, ...]:
        """Tokens of the parts, in the order in which they run."""
        tile = device.tile_tokens
        splits = [(first, tokens - first) for first in range(tile, tokens, tile)]
        best = min(splits, key=lambda x: _woven_seconds(device, x), default=(tokens,))
        if len(best) == 1 or _woven_seconds(device, best) >= _whole_seconds(device, tokens):
            return (tokens,)
        return best


def _whole_seconds(device: WaveDevice, tokens: int) -> float:
    """A layer of all tokens: two parts of matrices, a collective after each."""
    parts = device.part_seconds(tokens, device.units)
    return sum(parts) + 2 * device.collective_seconds(tokens, device.units)


def _woven_seconds(device: WaveDevice, split: tuple[int, ...]) -> float:
    """Four slots: a part of one's matrices, beside the collective of the other's part before."""
    left = device.units - device.link_units
    one, other = (device.part_seconds(x, left) for x in split)
    sent, returned = (device.collective_seconds(x, device.link_units) for x in split)
    slots = zip((one[0], other[0], one[1], other[1]), (returned, sent, returned, sent), strict=True)
    return sum(max(slot) for slot in slots)
