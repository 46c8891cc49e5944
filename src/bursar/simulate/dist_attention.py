"""DistAttention: attention over a context in parts, each with its cache elsewhere, merged exactly.

What a part sends back is no longer than a query: a weighted mean of values, the largest score, and
the sum of weights relative to it (Infinite-LLM, arXiv:2401.02669, section 4.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


class Part(NamedTuple):
    """Attention of queries to a part of the context: (queries, head), (queries,), (queries,)."""

    mean: Floats
    largest: Floats
    weight: Floats


def attend(queries: Floats, keys: Floats, values: Floats) -> Part:
    """Attention of (queries, head) to (tokens, head) keys and values, at least one token."""
    scores = queries @ keys.T / np.sqrt(queries.shape[-1])
    largest = scores.max(axis=-1)
    weights = np.exp(scores - largest[:, None])
    weight = weights.sum(axis=-1)
    return Part(weights @ values / weight[:, None], largest, weight)


def merge(parts: Sequence[Part]) -> Part:
    """The attention to all parts together, in any order; exact but for rounding."""
    largest = np.max([part.largest for part in parts], axis=0)
    weights = np.array([part.weight * np.exp(part.largest - largest) for part in parts])
    weight = weights.sum(axis=0)
    means = np.array([part.mean for part in parts])
    return Part((weights[..., None] * means).sum(axis=0) / weight[:, None], largest, weight)
