"""Infinite-LLM: instances lend each other memory, so that a context may be longer than one's own.

Paper: Bin Lin, Chen Zhang, Tao Peng, Hanyu Zhao, Wencong Xiao, Minmin Sun, Anmin Liu, Zhipeng
    Zhang, Lanbo Li, Xiafei Qiu, Shen Li, Zhigang Ji, Tao Xie, Yong Li, Wei Lin, "Infinite-LLM:
    Efficient LLM Service for Long Context with DistAttention and Distributed KVCache", 2024,
    arXiv:2401.02669; sections 4 and 5 (DistAttention is `bursar.simulate.dist_attention`).
Symbols: rBlock -> block; debtor, creditor -> Loan.debtor, Loan.creditor.
Differs: greedy by need alone, where the paper weighs throughput by a performance model. Running
    jobs come first: whoever has little room for them to grow borrows. Whoever's first waiting
    request does not fit borrows all that it lacks from those with nobody waiting. One request at a
    time that is too long for its instance, the one that waits longest, collects bit by bit, so
    that no two wait for each other. Prompts are computed on one instance.
Checked: tests/papers/test_infinite_llm.py: attention in parts is within 1e-5 of the whole; four
    instances serve contexts of 1.8 and 3 times the memory of one, transfers charged, and at least
    1.2 times the tokens a second of isolated ones, which reject these; nothing is gained where
    all fits. One engine over the same four GPUs has more memory, and is faster than both.
Seed: 128
"""

from dataclasses import dataclass

from bursar.errors import BadInput
from bursar.policies.batching import BatchState
from bursar.policies.lending.base import LendingState, Loan
from bursar.price import Price


@dataclass(frozen=True, slots=True)
class InfiniteLlm:
    """Each replica keeps `margin` of its blocks free for its own jobs to grow into, as a share."""

    margin: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.margin < 0.5:
            raise BadInput(f"margin = {self.margin}; must be from 0 to below 0.5")

    def decide(self, state: LendingState, now: float, price: Price) -> list[Loan]:
        """See `Lender.decide`."""
        missing = [
            _first(one) + self._kept(state, place) - one.free_blocks
            for place, one in enumerate(state.replicas)
        ]
        turns = sorted(
            (_since(replica), place)
            for place, replica in enumerate(state.replicas)
            if missing[place] > 0
        )
        collects = next((x for _, x in turns if self._is_too_long(state, x)), None)
        spare, loans = list(state.spare), list[Loan]()
        for debtor, owed in enumerate(state.owed):
            left = spare[debtor]
            if debtor == collects or missing[debtor] <= 0:
                left = min(left, -missing[debtor])
            for creditor, blocks in enumerate(owed):
                if (back := min(blocks, left)) > 0:
                    loans.append(Loan(debtor, creditor, -back))
                    left -= back
                    spare[debtor] -= back
                    spare[creditor] += back
                    missing[debtor] += back
        growing = [
            (place, self._kept(state, place) - one.free_blocks)
            for place, one in enumerate(state.replicas)
            if one.running
        ]
        for debtor, blocks in growing:  # first: those that run, or they would be preempted
            grown = self._borrow(state, spare, debtor, blocks, from_all=True)
            missing[debtor] -= sum(loan.blocks for loan in grown)
            loans += grown
        for _, debtor in turns:
            offers = self._offers(state, spare, debtor, from_all=debtor == collects)
            if debtor == collects or sum(blocks for blocks, _ in offers) >= missing[debtor]:
                loans += self._borrow(
                    state, spare, debtor, missing[debtor], from_all=debtor == collects
                )
        return loans

    def _borrow(
        self, state: LendingState, spare: list[int], debtor: int, blocks: int, *, from_all: bool
    ) -> list[Loan]:
        loans = []
        for offered, creditor in self._offers(state, spare, debtor, from_all=from_all):
            if (lent := min(offered, blocks)) > 0:
                loans.append(Loan(debtor, creditor, lent))
                blocks -= lent
                spare[creditor] -= lent
        return loans

    def _offers(
        self, state: LendingState, spare: list[int], debtor: int, *, from_all: bool
    ) -> list[tuple[int, int]]:
        """(blocks, creditor), the most first; who has requests waiting needs its own.

        What the first of these needs, where it is there at last, is nobody else's.
        """
        offers = []
        for other, replica in enumerate(state.replicas):
            keeps, first = self._kept(state, other), _first(replica)
            if replica.free_blocks >= keeps + first:
                keeps += first
            if other != debtor and spare[other] > keeps and (from_all or not replica.waiting):
                offers.append((spare[other] - keeps, other))
        return sorted(offers, reverse=True)

    def _is_too_long(self, state: LendingState, place: int) -> bool:
        """Whether the first that waits does not fit what the replica itself has."""
        replica = state.replicas[place]
        if not replica.waiting:
            return False
        home = replica.blocks - sum(state.owed[place])
        return _first(replica) > home - self._kept(state, place)

    def _kept(self, state: LendingState, place: int) -> int:
        """Blocks for its jobs to grow into, whatever a replica owes or has lent; 0 without any."""
        if not state.replicas[place].running:
            return 0
        lent = sum(owed[place] for owed in state.owed)
        return int(self.margin * (state.replicas[place].blocks - sum(state.owed[place]) + lent))


def _first(replica: BatchState) -> int:
    """Blocks that the first waiting request takes."""
    return replica.needed_blocks(replica.waiting[0]) if replica.waiting else 0


def _since(replica: BatchState) -> tuple[int, int]:
    return replica.waiting[0].rank if replica.waiting else (1 << 30, 0)
