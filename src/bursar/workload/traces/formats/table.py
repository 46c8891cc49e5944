"""A file's requests by column. Each column can be asked for as what it should be."""

from __future__ import annotations

from abc import ABC, abstractmethod

from bursar.workload.traces import rules
from bursar.workload.traces.rules import Floats, Ints


class Table(ABC):
    """Columns by name, in file order. Every question raises `BadInput` with the place in the file
    at the first value that is missing, can't be read, or breaks the rule."""

    __slots__ = ()

    @abstractmethod
    def place(self, row: int) -> str:
        """Where row i (from 0) stands in the file."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether the file has this column."""

    @abstractmethod
    def numbers(self, name: str, *, may_miss: bool = False) -> Floats:
        """(n,) numbers, NaN for what is missing where it may be."""

    def times(self, name: str) -> Floats:
        """(n,) times, finite and zero or more, in whatever unit the file has."""
        return rules.times(self.numbers(name), name, self.place)

    def latencies(self, name: str) -> Floats:
        """(n,) measured times, zero or more, NaN where there is none."""
        return rules.latencies(self.numbers(name, may_miss=True), name, self.place)

    def counts(self, name: str) -> Ints:
        """(n,) token counts, zero or more."""
        return rules.counts(self.numbers(name), name, self.place)

    def whole(self, name: str) -> Ints:
        """(n,) whole numbers of either sign."""
        return rules.whole(self.numbers(name), name, self.place)
