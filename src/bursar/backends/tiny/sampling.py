"""Draws tokens with random numbers fixed by (seed, question_id, sample) and the position.

A generator object per request would cost more than the draw, and a shared one would make a draw
depend on what else is in the batch. So the random number is a hash: SplitMix64's output function
(Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators") of a key per request
plus a counter. The counter is the absolute position, so a text that is cut and continued from its
own prefix goes on exactly as if it had not been cut.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from bursar.backends.base import Request
from bursar.backends.tiny.model import Floats, Ints

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def draw_key(request: Request) -> int:
    """64 bits from what fixes the draw of a request."""
    text = f"{request.seed}\0{request.question_id}\0{request.sample}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def uniforms(keys: NDArray[np.uint64], positions: Ints) -> NDArray[np.float64]:
    """A number in [0, 1) per row: SplitMix64 of stream `keys` (B,) at counter `positions` (B,)."""
    z = keys + (positions.astype(np.uint64) + np.uint64(1)) * _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    numbers: NDArray[np.float64] = (z >> np.uint64(11)) * 2.0**-53
    return numbers


def choose(
    logits: Floats, temperatures: Floats, numbers: NDArray[np.float64]
) -> tuple[Ints, Floats]:
    """Tokens (B,) drawn by inverting the distribution function at `numbers` (B,), most likely
    token where the temperature is 0, and their log-probabilities (B,) at temperature 1.
    """
    logits = logits - logits.max(axis=1, keepdims=True)
    weights = np.exp(logits)
    log_total = np.log(weights.sum(axis=1))
    greedy = temperatures == 0
    if not (temperatures == 1).all():
        weights = np.exp(logits / np.where(greedy, np.float32(1), temperatures)[:, None])
    # float64: in float32 the last sum could equal u * total, and pick a token of weight 0
    cumulative = np.cumsum(weights, axis=1, dtype=np.float64)
    tokens: Ints = (cumulative <= (numbers * cumulative[:, -1])[:, None]).sum(axis=1)
    if greedy.any():
        tokens = np.where(greedy, logits.argmax(axis=1), tokens)
    return tokens, logits[np.arange(len(tokens)), tokens] - log_total
