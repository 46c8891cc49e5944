"""`KvCache`: how many blocks of a replica's memory are free, and what each job takes."""

from __future__ import annotations

from bursar.policies.batching import Job, blocks_for
from bursar.simulate.prefix_cache import PrefixCache
from bursar.simulate.server import Server


class KvCache:
    """Blocks that nobody holds are `free`, also those still good as a prefix."""

    __slots__ = ("_parts", "_size", "free")

    def __init__(self, server: Server) -> None:
        self.free, self._size = server.blocks, server.block_tokens
        self._parts = (
            PrefixCache(server.blocks, server.block_tokens) if server.prefix_cache else None
        )

    def needed_blocks(self, job: Job) -> int:
        """See `BatchState`."""
        needed = blocks_for(job.target, self._size)
        return needed if self._parts is None else needed - self._parts.match(job)[1]

    def cached_tokens(self, job: Job) -> int:
        """See `BatchState`."""
        if self._parts is None:
            return job.received
        return max(self._parts.match(job)[0], job.received)

    def held_blocks(self, index: int, tokens: int) -> int:
        """Blocks that only this running job holds, who has room for so many tokens."""
        held = blocks_for(tokens, self._size)
        return held if self._parts is None else held - self._parts.shared_blocks(index)

    def admit(self, job: Job) -> None:
        """A job gets the blocks of its prefill, and is as far as the cache has it already."""
        self.free -= self.needed_blocks(job)
        job.computed = self.cached_tokens(job)
        if self._parts is not None:
            self._parts.join(job)

    def computed(self, job: Job) -> None:
        """A job has computed more of its prompt."""
        if self._parts is not None:
            self._parts.computed(job)

    def grow(self, blocks: int) -> None:
        """Running jobs have taken so many more; also to be called when jobs were admitted."""
        self.free -= blocks
        if self._parts is not None:
            self._parts.shrink(self.free)

    def preempt(self, job: Job, tokens: int) -> None:
        """A job with so many tokens computed is about to be released, and will come back."""
        if self._parts is not None:
            self._parts.preempt(job, tokens)

    def release(self, index: int, tokens: int) -> None:
        """A job with room for so many tokens leaves; what others hold stays held."""
        blocks = blocks_for(tokens, self._size)
        self.free += blocks if self._parts is None else blocks - self._parts.leave(index, blocks)
