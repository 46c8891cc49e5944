"""`PrefixCache`: which beginnings of prompts a replica still has cached, and who uses them.

Blocks that a job has computed for a shareable part of its prompt become cached when that part is
complete. While a running job uses them they are held; then they are free for whoever needs blocks,
but still good for the next prompt that begins so. Of a preempted job all whole blocks are cached,
for its return. Whoever needs blocks takes those that have been free for longest, cached or not; a
job frees the end of its context before the beginning. A part is forgotten as a whole.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import takewhile

from bursar.policies.batching import Job, Segment


class PrefixCache:
    """Counts of users per part, and the order in which free blocks are taken."""

    def __init__(self, blocks: int, block_tokens: int) -> None:
        self._block_tokens = block_tokens
        self._users: dict[int, int] = {}
        """By key, of all cached parts."""
        self._free = OrderedDict({-1: blocks})
        """Free blocks, the next to be taken in front: by key of the part cached in them, or..."""
        self._nameless = -1
        """...where there is none, by a number between this one and -1."""
        self._free_blocks = blocks
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
            shared += part.blocks * (part.key not in self._free)
        return min(tokens, job.target - 1), shared  # the last token is computed in any case

    def join(self, job: Job) -> None:
        """A job is admitted, and uses what `match` has found."""
        used = list(takewhile(lambda part: part.key in self._users, job.prefix))
        for part in used:
            self._users[part.key] += 1
            if part.key in self._free:
                self._free_blocks -= self._free.pop(part.key)
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

    def preempt(self, job: Job, tokens: int) -> None:
        """A running job with so many tokens computed is about to leave, and will come back."""
        size, first = self._block_tokens, job.prefix[-1].end if job.prefix else 0
        mine = (job.index + 1) << 32  # so that its keys are no other job's, nor `_nameless`
        own = [Segment(~(mine + end), 1, end) for end in range(first + size, tokens + 1, size)]
        job.prefix += tuple(own)
        self._used[job.index] += own
        self._users.update((part.key, 1) for part in own)

    def leave(self, index: int, blocks: int) -> int:
        """A running job with so many blocks leaves; returns those of them that others hold."""
        held, used = self.shared_blocks(index), self._used.pop(index)
        del self._passed[index]
        self._add_nameless(blocks - sum(part.blocks for part in used))
        for part in reversed(used):
            self._users[part.key] -= 1
            if not self._users[part.key]:
                self._free[part.key] = part.blocks
                self._free_blocks += part.blocks
        return held

    def shrink(self, free_blocks: int) -> None:
        """No more than so many blocks are free: those in front are taken."""
        while self._free_blocks > free_blocks:
            key, blocks = self._free.popitem(last=False)
            self._users.pop(key, None)
            self._free_blocks -= blocks
            if self._free_blocks < free_blocks:
                self._add_nameless(free_blocks - self._free_blocks)
                self._free.move_to_end(self._nameless, last=False)

    def _add_nameless(self, blocks: int) -> None:
        if blocks:
            self._nameless -= 1
            self._free[self._nameless] = blocks
            self._free_blocks += blocks
