"""`HostCopies`: whose caches lie in a host's memory, and which of them may go.

The cache of a waiting job has a place until it is back on the device. What is kept beyond that, a
copy of a running job's cache or a conversation's between two turns, is idle: it goes when its place
is needed, the least recently used first, as a whole.
"""

from __future__ import annotations


class HostCopies:
    """Blocks and tokens by key: a job's index, or ~conversation."""

    def __init__(self, blocks: int) -> None:
        self._free = blocks
        self._blocks: dict[int, int] = {}
        self._idle: dict[int, None] = {}
        """The least recently used first."""
        self._idle_blocks = 0
        self.tokens: dict[int, int] = {}
        """Of a cache from its beginning that lie here; by key, of all that are here."""

    def hold(self, key: int, blocks: int, tokens: int) -> bool:
        """Make a place for so much of a cache; False when there is none, and then all is gone."""
        self._use(key)
        more = blocks - self._blocks.get(key, 0)
        if more > self._free + self._idle_blocks:
            self.drop(key)
            return False
        while more > self._free:
            self.drop(next(iter(self._idle)))
        self._free -= more
        self._blocks[key], self.tokens[key] = blocks, tokens
        return True

    def drop(self, key: int) -> None:
        """Forget a cache, if it is here."""
        self._use(key)
        self._free += self._blocks.pop(key, 0)
        self.tokens.pop(key, None)

    def let_go(self, key: int, tokens: int) -> None:
        """The first tokens of this cache are kept while there is room."""
        self.tokens[key] = tokens
        self._idle[key] = None
        self._idle_blocks += self._blocks[key]

    def rename(self, old: int, new: int) -> None:
        """A cache, not idle from now on, goes to another owner, who has none here."""
        self._use(old)
        self._blocks[new], self.tokens[new] = self._blocks.pop(old), self.tokens.pop(old)

    def _use(self, key: int) -> None:
        if key in self._idle:
            del self._idle[key]
            self._idle_blocks -= self._blocks[key]
