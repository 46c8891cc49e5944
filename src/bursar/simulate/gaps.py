"""`Gaps`: the distribution of the time between tokens, over all tokens but the first ones."""

from __future__ import annotations

from collections import defaultdict
from math import log2

_BINS_PER_DOUBLING = 32  # a quantile is right to 2.2 %


class Gaps:
    """A histogram with bins of equal ratio; all jobs that decode get their tokens together."""

    __slots__ = ("_bins", "_fresh", "_last_decode", "tokens")

    def __init__(self) -> None:
        self._bins: defaultdict[int, int] = defaultdict(int)
        self.tokens = 0
        self._last_decode = 0.0
        self._fresh: dict[int, float] = {}
        """Jobs without a decode step yet, by index: the time of their last token."""

    def began(self, index: int, now: float) -> None:
        """A job got a token, not from a decode step, and decodes from now on."""
        self._fresh[index] = now

    def stopped(self, index: int) -> float:
        """A job decodes no more for now; returns the time of its last token."""
        return self._fresh.pop(index, self._last_decode)

    def decoded(self, end: float, jobs: int) -> None:
        """The decoding jobs got a token at `end`."""
        for since in self._fresh.values():
            self.add(end - since, 1)
        if jobs > len(self._fresh):
            self.add(end - self._last_decode, jobs - len(self._fresh))
        self._fresh.clear()
        self._last_decode = end

    def decoded_on(self, end: float, steps: int, jobs: int) -> None:
        """They got `steps` more, the last at `end`, nearly evenly since the last decode step."""
        self.add((end - self._last_decode) / steps, steps * jobs)
        self._last_decode = end

    def add(self, seconds: float, tokens: int) -> None:
        """So many tokens came `seconds` after the one before them."""
        self._bins[int(_BINS_PER_DOUBLING * log2(seconds) + 4096.0)] += tokens
        self.tokens += tokens

    def include(self, other: Gaps) -> None:
        """Add another replica's."""
        for bin_, tokens in other._bins.items():
            self._bins[bin_] += tokens
        self.tokens += other.tokens

    def quantile(self, share: float) -> float | None:
        """The gap (seconds) that `share` of tokens do not exceed; None without tokens."""
        seen = 0
        for bin_, tokens in sorted(self._bins.items()):
            seen += tokens
            if seen >= share * self.tokens:
                return float(2.0 ** ((bin_ + 0.5 - 4096.0) / _BINS_PER_DOUBLING))
        return None
