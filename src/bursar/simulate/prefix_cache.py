"""`PrefixCache`: which beginnings of prompts a replica still has cached, and who uses them.

Blocks that a job has computed for a shareable part of its prompt become cached when that part is
complete. While a running job uses them they are held; then they are idle: free for whoever needs
blocks, but still good for the next prompt that begins so. Idle parts go by when they were last
used, the end of a prompt before its beginning. A part goes as a whole.
"""

from __future__ import annotations

from itertools import takewhile

from bursar.policies.batching import Job, Segment


class PrefixCache:
    """Counts of users per part; the replica counts the blocks."""

    def __init__(self) -> None:
        self._users: dict[int, int] = {}
        """By key, of all cached parts."""
        self._idle: dict[int, int] = {}
        """Blocks of those without a user, by key, the least recently used first."""
        self._idle_blocks = 0
        self._used: dict[int, list[Segment]] = {}
        """By index of a running job: the cached parts it uses, and..."""
        self._passed: dict[int, int] = {}
        """...how many parts of its prompt are behind it."""

    def match(self, job: Job) -> tuple[int, int]:
        """(tokens cached for a waiting job, blocks of them that running jobs hold)."""
        tokens = shared = 0
        for part in job.prefix:
            if part.key not in self._users:
                break
            tokens = part.end
            shared += part.blocks * (part.key not in self._idle)
        return min(tokens, job.target - 1), shared  # the last token is computed in any case

    def join(self, job: Job) -> None:
        """A job is admitted, and uses what `match` has found."""
        used = list(takewhile(lambda part: part.key in self._users, job.prefix))
        for part in used:
            self._users[part.key] += 1
            if part.key in self._idle:
                self._idle_blocks -= self._idle.pop(part.key)
        self._used[job.index], self._passed[job.index] = used, len(used)

    def computed(self, job: Job) -> None:
        """A job has computed more of its prompt. What another has cached by now it keeps twice."""
        passed = self._passed[job.index]
        while passed < len(job.prefix) and job.prefix[passed].end <= job.computed:
            part = job.prefix[passed]
            if part.key not in self._users:
                self._users[part.key] = 1
                self._used[job.index].append(part)
            passed += 1
        self._passed[job.index] = passed

    def shared_blocks(self, index: int) -> int:
        """Blocks that a running job uses together with others."""
        return sum(part.blocks for part in self._used[index] if self._users[part.key] > 1)

    def leave(self, index: int) -> int:
        """A running job leaves; returns the blocks it used that others still hold."""
        held = self.shared_blocks(index)
        del self._passed[index]
        for part in reversed(self._used.pop(index)):
            self._users[part.key] -= 1
            if not self._users[part.key]:
                self._idle[part.key] = part.blocks
                self._idle_blocks += part.blocks
        return held

    def shrink(self, free_blocks: int) -> None:
        """No more than so many blocks can be idle; the least recently used go."""
        while self._idle_blocks > free_blocks:
            key = next(iter(self._idle))
            self._idle_blocks -= self._idle.pop(key)
            del self._users[key]
