"""The host's memory for the slow twin: an owner for each block, a list of all transfers."""

from dataclasses import dataclass

from bursar.policies.batching import Job
from bursar.simulate import Server
from bursar.simulate.host_link import Transfers


@dataclass
class Cache:
    """Of a waiting job, or idle: kept of a running job or of a conversation."""

    tokens: int
    blocks: int
    idle: bool = False


@dataclass
class Way:
    start: float
    end: float
    blocks: int
    """Of the device, that are written or read."""
    job: Job | None
    leaves: bool


class HostByToken:
    """Keys of caches are a job's index or ~conversation; those that are idle in order of use."""

    def __init__(self, server: Server) -> None:
        assert server.host is not None
        self.host, self.size, self.blocks = server.host, server.block_tokens, server.blocks
        self.caches: dict[int, Cache] = {}
        self.owner: list[tuple[int, bool] | None] = [None] * server.blocks
        """(index, whether in use) of each block of the device."""
        self.places: dict[int, list[int]] = {}
        self.link: list[Way] = []
        self.stalled_until = 0.0
        self.moved = Transfers()

    def blocks_of(self, tokens: int) -> int:
        return -(-tokens // self.size)

    # --- where on the device ---

    def take(self, index: int, blocks: int) -> None:
        if self.host.group_blocks == 1:
            return
        for left in range(blocks, 0, -1):
            if (index, False) not in self.owner:
                self.reserve(index, max(left, self.host.group_blocks))
            place = self.owner.index((index, False))
            self.owner[place] = (index, True)
            self.places.setdefault(index, []).append(place)

    def reserve(self, index: int, blocks: int) -> None:
        runs: list[list[int]] = []
        for place, owner in enumerate(self.owner):
            if owner is None:
                if runs and runs[-1][-1] == place - 1:
                    runs[-1].append(place)
                else:
                    runs.append([place])
        if enough := [run for run in runs if len(run) >= blocks]:
            chosen = sorted(enough, key=len)[0][:blocks]
        elif runs:
            chosen = sorted(runs, key=lambda run: -len(run))[0]
        else:
            unused: dict[int, list[int]] = {}
            for place, owner in enumerate(self.owner):
                if owner is not None and not owner[1]:
                    unused.setdefault(owner[0], []).append(place)
            longest = sorted(unused.items(), key=lambda item: (-len(item[1]), item[0]))[0][1]
            chosen = longest[len(longest) // 2 :]
        for place in chosen:
            self.owner[place] = (index, False)

    def release(self, index: int) -> None:
        self.owner = [None if one is not None and one[0] == index else one for one in self.owner]
        self.places.pop(index, None)

    def seconds(self, index: int, first: int, last: int) -> float:
        operations = last - first
        if self.host.group_blocks > 1:
            places = self.places[index][first:last]
            operations = sum(b - a != 1 for a, b in zip([-9, *places], places, strict=False))
        self.moved.operations += operations
        return (last - first) * self.host.block_seconds + operations * self.host.operation_seconds

    # --- caches come and go ---

    def match(self, job: Job) -> None:
        kept = self.caches.get(~job.conversation) if job.conversation >= 0 else None
        if kept is not None and kept.tokens < job.target:
            del self.caches[~job.conversation]
            self.caches[job.index] = Cache(kept.tokens, kept.blocks)
            job.received = kept.tokens

    def fetch(self, job: Job, now: float) -> bool:
        blocks = self.blocks_of(job.received)
        resumes = job.generated > 0 and job.received == job.target - 1
        self.take(job.index, blocks if resumes else self.blocks_of(job.target))
        seconds = self.seconds(job.index, 0, blocks)
        self.moved.blocks_in += blocks
        if not self.host.overlapped:
            self.stalled_until = max(self.stalled_until, now) + seconds
            self.back(job)
            return False
        start = max([now, *(one.end for one in self.link)])
        self.link.append(Way(start, start + seconds, self.blocks_of(job.target), job, False))
        return True

    def landed(self, now: float) -> list[Job]:
        jobs = [one.job for one in self.link if one.job is not None and one.end <= now]
        for one in self.link:
            if one.end <= now:
                one.job = None
        for job in jobs:
            self.back(job)
        return jobs

    def back(self, job: Job) -> None:
        cache = self.caches.pop(job.index)
        if self.host.keeps_copies:
            whole = cache.tokens // self.size * self.size
            self.caches[job.index] = Cache(whole, cache.blocks, idle=True)

    def leaves(self, job: Job, cached: int, now: float, keep: bool) -> int:
        coming = next((one for one in self.link if one.job is job), None)
        if coming is not None:
            coming.job, coming.leaves = None, True
            if coming.start > now:
                coming.blocks = 0
            kept = self.caches[job.index].tokens
        else:
            kept = self.send(job.index, cached, now) if keep else 0
        if not keep:
            kept = 0
            self.caches.pop(job.index, None)
        self.release(job.index)
        return kept

    def finishes(self, job: Job, cached: int, now: float) -> None:
        if self.leaves(job, cached, now, job.conversation >= 0):
            cache = self.caches.pop(job.index)
            cache.idle = True
            self.caches.pop(~job.conversation, None)
            self.caches[~job.conversation] = cache

    def send(self, index: int, tokens: int, now: float) -> int:
        if tokens == 0:
            return 0
        known = self.caches.pop(index, Cache(0, 0))
        need = self.blocks_of(tokens)
        while sum(one.blocks for one in self.caches.values()) + need > self.host.blocks:
            idle = [key for key, one in self.caches.items() if one.idle]
            pinned = sum(one.blocks for one in self.caches.values() if not one.idle)
            if pinned + need > self.host.blocks:
                return 0
            del self.caches[idle[0]]
        self.caches[index] = Cache(tokens, need)
        first = known.tokens // self.size
        if need > first:
            seconds = self.seconds(index, first, need)
            self.moved.blocks_out += need - first
            if self.host.overlapped:
                start = max([now, *(one.end for one in self.link)])
                self.link.append(Way(start, start + seconds, need - first, None, True))
            else:
                self.stalled_until = max(self.stalled_until, now) + seconds
        return tokens

    # --- when a step can begin ---

    def begin(self, now: float, free: int, growth: int) -> float:
        asked = now
        now = max(now, self.stalled_until)
        for time in [now, *(one.end for one in self.link if one.end > now)]:
            if self.room(time, free) >= growth:
                self.moved.stalled_seconds += time - asked
                return time
        raise AssertionError("never")

    def room(self, now: float, free: int) -> int:
        """Free blocks that are unused at `now` and whenever a later transfer begins."""
        starts = [one.start for one in self.link if one.start > now and not one.leaves]
        rooms = [free]
        for time in [now, *starts]:
            leaving = sum(one.blocks for one in self.link if one.leaves and one.end > time)
            later = sum(one.blocks for one in self.link if not one.leaves and one.start > time)
            rooms.append(free + later - leaving)
        return min(rooms)
