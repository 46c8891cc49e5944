"""Kept texts: keys and values that stay with whoever may go on from them, shared as a tree.

A kept text owns the tokens after the text that it went on from, so that texts which begin alike
hold their beginning once. Nothing is evicted: a text is held as long as someone refers to it or to
one that goes on from it, and `Holdings` counts what that is.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field

import numpy as np

from bursar.backends.tiny.model import Floats


@dataclass(slots=True)
class Holdings:
    """Tokens whose keys and values are held now, and the most there ever were."""

    tokens: int = 0
    peak: int = 0

    def take(self, tokens: int) -> None:
        """Count `tokens` more."""
        self.tokens += tokens
        self.peak = max(self.peak, self.tokens)

    def give_back(self, tokens: int) -> None:
        """Count `tokens` less."""
        self.tokens -= tokens


@dataclass(frozen=True, eq=False)
class KeptText:
    """The end of a text that was run: keys (layers, Hkv, D, own), values (layers, Hkv, own, D) of
    its own tokens, and logits (vocab,) of what may follow it.
    """

    before: KeptText | None
    keys: Floats
    values: Floats
    logits: Floats
    holdings: Holdings = field(repr=False)

    def __post_init__(self) -> None:
        self.holdings.take(self.own)
        weakref.finalize(self, self.holdings.give_back, self.own)

    @property
    def own(self) -> int:
        """Tokens that only this text and those that go on from it hold."""
        return int(self.keys.shape[-1])

    @property
    def length(self) -> int:
        """Tokens of the whole text."""
        return self.own + (self.before.length if self.before else 0)

    def whole(self) -> tuple[Floats, Floats]:
        """Keys (layers, Hkv, D, length) and values (layers, Hkv, length, D) from the beginning."""
        chain = [self]
        while chain[-1].before:
            chain.append(chain[-1].before)
        chain.reverse()
        keys = np.concatenate([text.keys for text in chain], axis=-1)
        return keys, np.concatenate([text.values for text in chain], axis=-2)
