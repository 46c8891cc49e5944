"""Text features: words and neighbouring pairs of words, hashed, weighed by how rare they are.

No dictionary is kept and no model is asked, so a question never seen has features at once. Rows
have unit length: a dot product of two rows is their cosine similarity. All numbers are one word:
`7 + 5` and `31 + 8` ask for the same skill.
"""

import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from bursar.errors import BadInput
from bursar.value.base import Floats

_WORD = re.compile(r"[^\W\d_]+|\d+|[^\w\s]")


@dataclass(frozen=True)
class TextFeatures:
    """TF-IDF over `len(rarity)` hash buckets; `rarity` is each bucket's idf weight."""

    rarity: Floats

    @classmethod
    def fit(cls, texts: Sequence[str], buckets: int = 4096) -> Self:
        """Learn how rare each bucket is from `texts` (at least one)."""
        if not texts:
            raise BadInput("text features need at least one text to learn from")
        counts = _hashed(texts, buckets)
        holding = np.bincount(counts.indices, minlength=buckets)
        return cls(1.0 + np.log((1 + len(texts)) / (1 + holding)))

    def of(self, texts: Sequence[str]) -> sparse.csr_array:
        """(texts, buckets), rows of unit length; a text without words is a row of zeros."""
        rows = _hashed(texts, len(self.rarity))
        weighed = rows.multiply(self.rarity).tocsr()
        length = np.sqrt(np.asarray(weighed.multiply(weighed).sum(axis=1)).ravel())
        return sparse.csr_array(weighed.multiply(1 / np.maximum(length, 1e-12)[:, None]))


def _hashed(texts: Sequence[str], buckets: int) -> sparse.csr_array:
    """(texts, buckets): 1 + log of how often each bucket occurs, 0 where it does not."""
    starts = [0]
    index: list[int] = []
    value: list[float] = []
    for text in texts:
        found = Counter(zlib.crc32(gram.encode()) % buckets for gram in _grams(text))
        index += found.keys()
        value += [1 + math.log(n) for n in found.values()]
        starts.append(len(index))
    columns = np.array(index, dtype=np.int64)
    rows = np.repeat(np.arange(len(texts)), np.diff(starts))
    return sparse.coo_array((value, (rows, columns)), shape=(len(texts), buckets)).tocsr()


def _grams(text: str) -> Iterator[str]:
    words = ["#" if w.isdigit() else w for w in _WORD.findall(text.lower())]
    yield from words
    yield from (f"{a} {b}" for a, b in pairwise(words))


@dataclass(frozen=True)
class TextSpace:
    """The directions in which texts differ most: dense features for methods that can't do without.

    `axes` (buckets, dims) are right singular vectors of the texts it was fitted to.
    """

    features: TextFeatures
    axes: Floats

    @classmethod
    def fit(cls, texts: Sequence[str], dims: int = 64) -> Self:
        """Raises `BadInput` unless there are more texts than `dims`."""
        if len(texts) <= dims:
            raise BadInput(f"{dims} directions need more than {dims} texts, got {len(texts)}")
        features = TextFeatures.fit(texts)
        _, _, axes = svds(features.of(texts), k=dims, random_state=0)
        return cls(features, np.ascontiguousarray(axes.T))

    def of(self, texts: Sequence[str]) -> Floats:
        """(texts, dims + 2): place along each axis, log length about 150 characters, 1."""
        length = np.log1p([len(t) for t in texts]) - 5.0
        return np.column_stack([self.features.of(texts) @ self.axes, length, np.ones(len(texts))])
