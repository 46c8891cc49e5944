"""What a lending policy is: it says which replica lends memory to which. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from bursar.policies.batching import BatchState
from bursar.price import Price


class Loan(NamedTuple):
    """Blocks of KV cache that the creditor gives the debtor; fewer than none come back."""

    debtor: int
    creditor: int
    blocks: int


class LendingState(Protocol):
    """What a fleet shows to a lending policy."""

    @property
    def replicas(self) -> Sequence[BatchState]:
        """All; `free_blocks` has what is borrowed, and not what is lent."""
        ...

    @property
    def spare(self) -> Sequence[int]:
        """Blocks of each replica that can be lent or given back now."""
        ...

    @property
    def owed(self) -> Sequence[Sequence[int]]:
        """[debtor][creditor] blocks."""
        ...


class Lender(Protocol):
    """Decides on loans."""

    def decide(self, state: LendingState, now: float, price: Price) -> Sequence[Loan]:
        """Loans to make and to pay back now, in order."""
        ...
