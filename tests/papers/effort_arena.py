"""The built-in models with an effort dial on held-out chains, for tests of what a dial does.

Draws are remembered for the session.
"""

import asyncio
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bursar.backends.base import Backend, Effort, Request
from bursar.backends.tiny import open_tiny
from bursar.backends.tiny.dial import settled
from bursar.workload.tasks import TASKS

TASK = TASKS["chain"]
PER_LEVEL = 12
SEEDS = range(3)

Floats = NDArray[np.float64]


@cache
def opened(model: str) -> Backend:
    return open_tiny(model)


@cache
def said(model: str, effort: Effort | None, most: int = 512) -> tuple[Floats, Floats]:
    """(right, tokens said), each (seeds, questions per level, levels), at temperature 0.7."""
    asked = [
        (q, Request(q.prompt, most, q.id, temperature=0.7, seed=seed, effort=effort))
        for seed in SEEDS
        for q in TASK.generate(PER_LEVEL * len(TASK.levels), seed=seed)
    ]
    done = asyncio.run(opened(model).complete([request for _, request in asked]))
    right = [
        TASK.check(q, TASK.extract(q, settled(d.text)))
        for (q, _), d in zip(asked, done, strict=True)
    ]
    shape = (len(SEEDS), PER_LEVEL, len(TASK.levels))
    tokens = [d.usage.tokens_out for d in done]
    return np.array(right, float).reshape(shape), np.array(tokens, float).reshape(shape)
