"""The splits of a batch's tokens that look at nothing: none, and halves."""

from dataclasses import dataclass

from bursar.allocate.overlap.waves import WaveDevice


@dataclass(frozen=True, slots=True)
class Whole:
    """No split: each collective is waited for."""

    def split(self, device: WaveDevice, tokens: int) -> tuple[int, ...]:
        """See `TokenSplit`."""
        return (tokens,)


@dataclass(frozen=True, slots=True)
class Halves:
    """Two parts with as many tokens each, whatever that does to waves."""

    def split(self, device: WaveDevice, tokens: int) -> tuple[int, ...]:
        """See `TokenSplit`."""
        return (tokens - tokens // 2, tokens // 2) if tokens > 1 else (tokens,)
