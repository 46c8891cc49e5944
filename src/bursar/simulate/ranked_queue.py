"""`RankedQueue`: who waits, by rank."""

from bisect import bisect
from collections import deque

from bursar.policies.batching import Job


class RankedQueue(deque[Job]):
    """Jobs by `Job.rank`; nearly always one comes and goes at an end."""

    def add(self, job: Job) -> None:
        """Insert by rank."""
        rank = job.rank
        if not self or self[-1].rank < rank:
            self.append(job)
        elif rank < self[0].rank:
            self.appendleft(job)
        else:
            self.insert(bisect(self, rank, key=lambda other: other.rank), job)

    def take(self, job: Job) -> None:
        """Remove a job."""
        if self[0] is job:
            self.popleft()
        else:
            self.remove(job)
