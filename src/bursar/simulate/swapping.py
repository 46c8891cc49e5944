"""`Swapping`: what a replica does with caches that go to its host's memory and come back."""

from __future__ import annotations

import math

from bursar.policies.batching import Job, blocks_for
from bursar.simulate.block_groups import BlockGroups
from bursar.simulate.decode_batch import DecodeBatch
from bursar.simulate.host_copies import HostCopies
from bursar.simulate.host_link import HostLink, Transfers
from bursar.simulate.host_memory import HostMemory


class Swapping:
    """Copies, the link, and the places of blocks; the replica counts the device's free blocks."""

    def __init__(self, host: HostMemory, blocks: int, block_tokens: int) -> None:
        self._host, self._size = host, block_tokens
        self._copies = HostCopies(host.blocks)
        self._link = HostLink()
        self._groups = BlockGroups(blocks, host.group_blocks) if host.group_blocks > 1 else None
        self._coming: set[int] = set()
        """Indices of the jobs on their way back."""
        self._stalled_until = 0.0
        self._hoping: dict[int, Job] = {}
        """Jobs that nothing is here for, by index, though they go on with a conversation."""
        self.transfers = Transfers()

    # --- where caches are ------------------------------------------------------------------------

    def arrives(self, job: Job) -> None:
        """A job that was not here before waits."""
        if job.conversation >= 0:
            self._hoping[job.index] = job
            self._match_conversations()

    def _match_conversations(self) -> None:
        """What is kept of a conversation by now begins the prompt that goes on with it."""
        for index, job in list(self._hoping.items()):
            key = ~job.conversation
            if self._copies.tokens.get(key, job.target) < job.target:
                self._copies.rename(key, index)
                job.received = self._copies.tokens[index]
                del self._hoping[index]

    def is_away(self, job: Job) -> bool:
        """Whether the cache of a waiting job is on the host."""
        return job.index in self._copies.tokens

    def is_coming(self, index: int) -> bool:
        """Whether a running job's cache is on its way back."""
        return index in self._coming

    def admit(self, job: Job) -> None:
        """A job whose prefill begins gets its blocks."""
        self._hoping.pop(job.index, None)
        if self._groups is not None:
            self._groups.take(job.index, blocks_for(job.target, self._size))

    def fetch(self, job: Job, now: float) -> bool:
        """A job whose cache is away is admitted. True: it is back, when the next step begins."""
        blocks = blocks_for(job.received, self._size)
        held = blocks if job.resumes else blocks_for(job.target, self._size)
        if self._groups is not None:
            self._groups.take(job.index, held)
        seconds = self._seconds(job.index, 0, blocks)
        self.transfers.blocks_in += blocks
        if self._host.overlapped:
            self._link.fetch(now, seconds, job, blocks_for(job.target, self._size))
            self._coming.add(job.index)
            return False
        self._stall(seconds, now)
        self._is_back(job)
        return True

    def landed(self, now: float) -> list[Job]:
        """The jobs that are back by now. Also finds waiting jobs what was kept meanwhile."""
        self._match_conversations()
        jobs = self._link.landed(now)
        for job in jobs:
            self._coming.remove(job.index)
            self._is_back(job)
        return jobs

    def leave(self, job: Job, tokens: int, now: float, *, keep: bool) -> int:
        """A job leaves the device; returns how much of its cache can come back: all or nothing."""
        if job.index in self._coming:
            self._coming.remove(job.index)
            self._link.abandon(now, job)
            tokens = self._copies.tokens[job.index]
        elif keep:
            tokens = self._send(job.index, tokens, now)
        if not keep:
            self._copies.drop(job.index)
            tokens = 0
        if self._groups is not None:
            self._groups.release(job.index)
        return tokens

    def finish(self, job: Job, tokens: int, now: float) -> None:
        """A job is done; the cache of a conversation is kept for its next turn."""
        if self.leave(job, tokens, now, keep=job.conversation >= 0):
            key = ~job.conversation
            self._copies.drop(key)
            self._copies.rename(job.index, key)
            self._copies.let_go(key, tokens)

    # --- what waits for what ---------------------------------------------------------------------

    @property
    def next_landing(self) -> float:
        """When the next job is back (seconds); infinity when none is on its way."""
        return self._link.next_landing if self._coming else math.inf

    def wait_for(self, blocks: int, free: int, now: float) -> tuple[float, int]:
        """(when a step can begin that writes to so many of `free` blocks, how many it could)."""
        start, usable = self._link.wait_for(blocks, free, max(now, self._stalled_until))
        self.transfers.stalled_seconds += start - now
        return start, usable

    def grow(self, batch: DecodeBatch, steps: int) -> None:
        """The decoding jobs are about to take blocks, in the order of the steps."""
        if self._groups is not None:
            for _, index in batch.growth_events(steps):
                self._groups.take(index, 1)

    # --- copying ---------------------------------------------------------------------------------

    def _send(self, index: int, tokens: int, now: float) -> int:
        blocks = blocks_for(tokens, self._size)
        there = self._copies.tokens.get(index, 0) // self._size
        if not tokens or not self._copies.hold(index, blocks, tokens):
            return 0
        if blocks > there:
            seconds = self._seconds(index, there, blocks)
            self.transfers.blocks_out += blocks - there
            if self._host.overlapped:
                self._link.send(now, seconds, blocks - there)
            else:
                self._stall(seconds, now)
        return tokens

    def _stall(self, seconds: float, now: float) -> None:
        self._stalled_until = max(self._stalled_until, now) + seconds

    def _is_back(self, job: Job) -> None:
        if self._host.keeps_copies:
            # The last block changes when it is not full, so that its copy is of no use.
            self._copies.let_go(job.index, job.received - job.received % self._size)
        else:
            self._copies.drop(job.index)

    def _seconds(self, index: int, first: int, last: int) -> float:
        """To copy these blocks of a job, which is also noted."""
        host, groups = self._host, self._groups
        operations = last - first if groups is None else groups.operations(index, first, last)
        self.transfers.operations += operations
        return (last - first) * host.block_seconds + operations * host.operation_seconds
