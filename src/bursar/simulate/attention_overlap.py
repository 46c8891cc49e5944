"""What attention takes in a step of decodes and a prompt, over what both take by themselves.

Below 1 where they overlap (one computes while the other waits for memory), above 1 where an
engine's shared kernel suits neither. A smooth ratio, so a coarse grid holds it.
"""

from collections.abc import Callable
from math import log2

import numpy as np
from numpy.typing import ArrayLike

from bursar.cost.work import Array

Attention = Callable[[ArrayLike, ArrayLike, ArrayLike], Array]
"""Seconds of attention in steps of rows (new tokens, tokens before them, how often)."""

_OFFSET = 64.0  # added to the tokens before a prompt, so that none has a logarithm
_AXES = (
    np.arange(0.0, 10.0),  # jobs
    np.arange(4.0, 19.0, 2.0),  # context
    np.arange(2.0, 15.0, 2.0),  # new
    np.arange(6.0, 19.0, 2.0),  # before, and the offset
)
"""Binary logarithms of what is sampled; beyond it the ratio is that at the end."""
_STEPS = tuple((float(x[0]), float(x[1] - x[0]), len(x) - 1) for x in _AXES)
_STRIDES = tuple(int(np.prod([len(x) for x in _AXES[i + 1 :]])) for i in range(len(_AXES)))


class Overlap:
    """The ratio for `jobs` decoding at a mean `context`, beside `new` tokens after `before`."""

    def __init__(self, attention: Attention) -> None:
        jobs, context, new, before = (2.0**x for x in np.meshgrid(*_AXES, indexing="ij"))
        before = before - _OFFSET
        one = np.ones_like(jobs)
        decodes = attention(one[..., None], context[..., None], jobs[..., None])
        prompts = attention(new[..., None], before[..., None], one[..., None])
        mixed = attention(
            np.stack([one, new], axis=-1),
            np.stack([context, before], axis=-1),
            np.stack([jobs, one], axis=-1),
        )
        apart = decodes + prompts
        ratio = np.divide(mixed, apart, out=np.ones_like(apart), where=apart > 0)
        self._samples: list[float] = ratio.ravel().tolist()
        self.is_none = bool(np.allclose(ratio, 1.0, rtol=1e-6))
        self._known: dict[tuple[int, ...], float] = {}

    def ratio(self, jobs: int, context: float, new: int, before: float) -> float:
        """At the nearest quarter of a doubling in each of the four."""
        point = (log2(jobs), log2(max(context, 1.0)), log2(new), log2(before + _OFFSET))
        cell = tuple(round(4.0 * x) for x in point)
        if cell not in self._known:
            self._known[cell] = self._interpolated([x / 4.0 for x in cell])
        return self._known[cell]

    def _interpolated(self, point: list[float]) -> float:
        """Linear in the logarithms, between the 16 samples around the point."""
        weights, places = [1.0], [0]
        for x, (first, step, last), stride in zip(point, _STEPS, _STRIDES, strict=True):
            x = min(max((x - first) / step, 0.0), float(last))
            at = min(int(x), last - 1)
            up = x - at
            places = [place + at * stride for place in places]
            places += [place + stride for place in places]
            weights = [w * (1.0 - up) for w in weights] + [w * up for w in weights]
        return sum(w * self._samples[place] for w, place in zip(weights, places, strict=True))
