"""Columns that are not plain numbers: names, and the hashed blocks of prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from bursar.errors import BadInput
from bursar.workload.traces.rules import Flags, Ints


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """A column of names, each name kept once: row i has `names[codes[i]]`. "" is no name.

    codes   (n,), each from 0 to len(names) - 1
    """

    codes: Ints
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    @classmethod
    def of(cls, names: Sequence[str] | pl.Series) -> Labels:
        """The column of these names, in order of their first appearance."""
        column = pl.Series(names, dtype=pl.String)
        kept = column.unique(maintain_order=True)
        codes = column.replace_strict(kept, np.arange(len(kept)), return_dtype=pl.Int64)
        return cls(codes.to_numpy(), tuple(kept.to_list()))

    @classmethod
    def same(cls, name: str, count: int) -> Labels:
        """`count` rows of one name."""
        return cls(np.zeros(count, dtype=np.int64), (name,))

    def take(self, rows: ArrayLike) -> Labels:
        """The rows of an index or mask."""
        return Labels(self.codes[np.asarray(rows)], self.names)

    def equal(self, name: str) -> Flags:
        """(n,): which rows have this name."""
        code = self.names.index(name) if name in self.names else -1
        return np.equal(self.codes, code)

    def inside(self, group: str, unnamed: str) -> Labels:
        """The same rows with each name as "group/name", and `unnamed` for ""."""
        names = (f"{group}/{name}" if name else unnamed for name in self.names)
        return Labels(self.codes, tuple(names))

    def text(self) -> pl.Series:
        """The column written out."""
        return pl.Series(self.names, dtype=pl.String).gather(self.codes)

    @staticmethod
    def joined(parts: Sequence[Labels]) -> Labels:
        """The rows of all parts, one part after the other; equal names are the same name."""
        codes = {name: i for i, name in enumerate(dict.fromkeys(n for p in parts for n in p.names))}
        recoded = [np.array([codes[n] for n in p.names], dtype=np.int64)[p.codes] for p in parts]
        return Labels(np.concatenate(recoded), tuple(codes))


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """The hashed blocks of each prompt: requests that share leading hashes share a prefix.

    offsets        (n + 1,): request i has `hashes[offsets[i]:offsets[i + 1]]`
    hashes         (total,), whole numbers, one per block, in order of the prompt
    block_tokens   tokens in a block; the last block of a prompt may be shorter
    """

    offsets: Ints
    hashes: Ints
    block_tokens: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def of(self, row: int) -> Ints:
        """The hashes of one request."""
        return self.hashes[self.offsets[row] : self.offsets[row + 1]]

    def take(self, rows: ArrayLike) -> Blocks:
        """The requests of an index or mask."""
        starts, lengths = (
            self.offsets[:-1][np.asarray(rows)],
            np.diff(self.offsets)[np.asarray(rows)],
        )
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        return Blocks(offsets, self.hashes[np.repeat(starts, lengths) + within], self.block_tokens)

    @staticmethod
    def none(count: int, block_tokens: int) -> Blocks:
        """`count` requests of which no block is known."""
        empty = np.zeros(0, dtype=np.int64)
        return Blocks(np.zeros(count + 1, dtype=np.int64), empty, block_tokens)

    @staticmethod
    def apart(parts: Sequence[Blocks]) -> Blocks:
        """The requests of all parts, whose hashes come from different sources: none are shared.

        Raises `BadInput` when the parts' blocks differ in size.
        """
        sizes = sorted({part.block_tokens for part in parts})
        if len(sizes) > 1:
            raise BadInput(
                f"blocks of {sizes} tokens can't be mixed; hash the prompts in blocks of one size"
            )
        offsets, hashes, first_free = [np.zeros(1, dtype=np.int64)], [], 0
        for part in parts:
            offsets.append(part.offsets[1:] + offsets[-1][-1])
            own, renumbered = np.unique(part.hashes, return_inverse=True)
            hashes.append(renumbered + first_free)
            first_free += len(own)
        return Blocks(np.concatenate(offsets), np.concatenate(hashes), sizes[0])
