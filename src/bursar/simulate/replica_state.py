"""`ReplicaState`: who waits and who runs at a replica, and where their caches are."""

from __future__ import annotations

from collections.abc import Sequence

from bursar.policies.batching import Job
from bursar.simulate.decode_batch import DecodeBatch
from bursar.simulate.history import History
from bursar.simulate.host_link import Transfers
from bursar.simulate.kv_cache import KvCache
from bursar.simulate.ranked_queue import RankedQueue
from bursar.simulate.server import Server
from bursar.simulate.swapping import Swapping


class ReplicaState:
    """What a replica shows to its policy: a `BatchState`."""

    def __init__(self, server: Server) -> None:
        self.block_tokens, self.blocks = server.block_tokens, server.blocks
        self._kv = KvCache(server)
        self._swapping = (
            None
            if server.host is None
            else Swapping(server.host, server.blocks, server.block_tokens)
        )
        self.waiting = RankedQueue()
        self.running: dict[int, Job] = {}
        self.prefilling: list[Job] = []
        self._batch = DecodeBatch(server.block_tokens, server.times.windows)
        self._history = History()

    @property
    def free_blocks(self) -> int:
        """See `BatchState`."""
        return self._kv.free

    @property
    def growth_blocks(self) -> int:
        """See `BatchState`."""
        return self._batch.growth

    def held_blocks(self, job: Job) -> int:
        """See `BatchState`."""
        decoding = job.index in self._batch.seats
        return self._kv.held_blocks(
            job.index, self._batch.cached(job.index) if decoding else job.target
        )

    def needed_blocks(self, job: Job) -> int:
        """See `BatchState`."""
        return self._kv.needed_blocks(job)

    def cached_tokens(self, job: Job) -> int:
        """See `BatchState`."""
        return self._kv.cached_tokens(job)

    def grows(self, job: Job) -> bool:
        """See `BatchState`."""
        return job.index in self._batch.seats and self._batch.grows(job.index)

    def generated(self, job: Job) -> int:
        """See `BatchState`."""
        seat = self._batch.seats.get(job.index)
        return job.generated if seat is None else job.generated + self._batch.count - seat.joined

    @property
    def finished_outputs(self) -> Sequence[int]:
        """See `BatchState`."""
        return self._history.rising

    @property
    def transfers(self) -> Transfers:
        """What went between device and host."""
        return Transfers() if self._swapping is None else self._swapping.transfers
