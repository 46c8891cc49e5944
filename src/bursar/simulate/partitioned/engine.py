"""A replica that runs prompts and decodes at once on one device.

Each lane runs one step at a time, operator group by operator group; both advance on a shared device
at speeds that depend on what the other does. The KV cache is that of `Replica`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from bursar.cost import Deployment, step_arrays
from bursar.cost.shared_device import Operation, SharedDevice
from bursar.cost.work import Rows, step_work
from bursar.errors import BadInput
from bursar.policies.batching import Chunk, Job, blocks_for
from bursar.policies.partitioning import LanePolicy, Work
from bursar.price import Price
from bursar.simulate.decode_batch import DecodeBatch
from bursar.simulate.gaps import Gaps
from bursar.simulate.kv_cache import KvCache
from bursar.simulate.outcomes import Outcomes
from bursar.simulate.partitioned.lane import Lane, LaneStep
from bursar.simulate.ranked_queue import RankedQueue
from bursar.simulate.server import Server


class TwoLanes:
    """An engine with its queue, a `LaneState`."""

    def __init__(
        self,
        deployment: Deployment,
        server: Server,
        policy: LanePolicy,
        device: SharedDevice,
        price: Price,
        outcomes: Outcomes,
    ) -> None:
        if deployment.pp > 1 or deployment.dp > 1 or server.times.windows:
            raise BadInput(
                f"pp = {deployment.pp}, dp = {deployment.dp}, windows = {server.times.windows}; "
                "lanes are simulated for tp alone and full attention"
            )
        self._place, self._device, self._policy = deployment, device, policy
        self._price, self._outcomes = price, outcomes
        self._kv, self._batch = KvCache(server), DecodeBatch(server.block_tokens, ())
        self.blocks, self._block_tokens = server.blocks, server.block_tokens
        self.waiting, self.prefilling = RankedQueue(), list[Job]()
        self._decoding: dict[int, Job] = {}
        self._joining: list[Job] = []
        """Their prompt is done; they decode from the next decode step on."""
        self._prompts, self._decodes = Lane(), Lane()
        self._chunks: Sequence[Chunk] = ()
        self._token_times: dict[int, float] = {}
        """Of jobs without a decode step since they were admitted, and of preempted ones."""
        self._last_decode = 0.0
        self.prefill_units, self.units_since, self.now = 0.5, 0.0, 0.0
        self._next: tuple[int, int, Work] = (0, 0, ())
        """Decoding jobs and the sum of their contexts, and what a step of them is."""
        self.decode_seconds: float | None = None
        self.gaps, self.steps = Gaps(), list[LaneStep]()

    # --- what the policy sees --------------------------------------------------------------------

    @property
    def prefill_is_free(self) -> bool:
        """See `LaneState`."""
        return not self._prompts.busy

    @property
    def jobs(self) -> int:
        """See `LaneState`."""
        return len(self.prefilling) + len(self._joining) + len(self._decoding)

    @property
    def spare_blocks(self) -> int:
        """See `LaneState`."""
        return self._kv.free - (0 if self._decodes.busy else self._batch.growth)

    def needed_blocks(self, job: Job) -> int:
        """See `LaneState`."""
        return self._kv.needed_blocks(job)

    def prefill_work(self, chunks: Sequence[Chunk]) -> Work:
        """See `LaneState`."""
        if self._prompts.busy:
            return self._prompts.work
        if not chunks:
            return ()
        new, context = zip(*((x.tokens, x.job.computed) for x in chunks), strict=True)
        return self._work(Rows.of(new, context))

    @property
    def decode_work(self) -> Work:
        """See `LaneState`."""
        if self._decodes.busy:
            return self._decodes.work
        count = len(self._decoding) + len(self._joining)
        context = self._batch.contexts[0] + sum(job.target for job in self._joining)
        if (count, context) != self._next[:2]:
            work = self._work(Rows.of(1.0, context / count, count)) if count else ()
            self._next = (count, context, work)
        return self._next[2]

    def _work(self, rows: Rows) -> Work:
        """A step, group of operators by group, as `RooflineTimes` counts them."""
        place = self._place
        groups = step_work(
            place.model, rows, tp=place.tp, dp=1, dtype=place.dtype, kv_dtype=place.kv_dtype
        )
        latency = place.reached.seconds_per_layer * place.model.layers
        if place.tp > 1:
            terms = step_arrays(place, rows.new, rows.context, rows.count).terms
            latency += float(terms["communication"])
        first, *others = (
            Operation(float(x.flops), float(x.bytes)) for x in groups.values() if x.flops > 0
        )
        return (replace(first, latency_seconds=latency), *others)

    # --- time ------------------------------------------------------------------------------------

    def arrive(self, job: Job) -> None:
        """A job comes now. One that can never fit is rejected."""
        last = job.prompt + self._outcomes.outputs[job.index] - 1
        if blocks_for(last, self._block_tokens) <= self.blocks:
            job.target = job.prompt
            self.waiting.add(job)
            self._begin()

    def run_until(self, end: float) -> None:
        """Both lanes advance; at infinity until nothing is left to run."""
        while self.now < end:
            lanes = [x for x in (self._prompts, self._decodes) if x.busy]
            if not lanes:
                self.now = end if math.isfinite(end) else self.now
                return
            speeds = self._speeds(lanes)
            step = min(x.seconds_left(speed) for x, speed in zip(lanes, speeds, strict=True))
            step = min(step, end - self.now)
            self.now += step
            for lane, speed in zip(lanes, speeds, strict=True):
                lane.forward(step, speed)
            if not all(x.busy for x in lanes):
                self._settle(lanes)
                self._begin()

    def _speeds(self, lanes: list[Lane]) -> list[float]:
        """Of each lane's operation; 0 in latency. Alone, a lane has all units."""
        share = {id(self._prompts): self.prefill_units, id(self._decodes): 1 - self.prefill_units}
        active = [x for x in lanes if x.latency <= 0]
        running = [
            replace(x.work[x.place], units=share[id(x)] if len(lanes) > 1 else 1.0) for x in active
        ]
        speeds = dict(zip(map(id, active), self._device.speeds(running), strict=True))
        return [speeds.get(id(x), 0.0) for x in lanes]

    def _begin(self) -> None:
        """Steps begin in the lanes that are free, as the policy decides."""
        if self._prompts.busy and self._decodes.busy:
            return
        decision = self._policy.decide(self, self.now, self._price)
        if decision.prefill_units != self.prefill_units:
            self.prefill_units, self.units_since = decision.prefill_units, self.now
        begun = []
        if not self._decodes.busy and (work := self._next_decodes()):
            self._decodes.begin(work, self.now)
            begun.append(self._decodes)
        if not self._prompts.busy and decision.chunks:
            work = self.prefill_work(decision.chunks)
            for job, _ in decision.chunks:
                if job not in self.prefilling:
                    self._admit(job)
            self._chunks = decision.chunks
            self._prompts.begin(work, self.now)
            begun.append(self._prompts)
        if self._prompts.busy and self._decodes.busy:
            for lane in begun:
                lane.beside = (self.prefill_units, self._prompts.work, self._decodes.work)

    def _next_decodes(self) -> Work:
        """The work of the next decode step, its blocks taken; the last in rank make room."""
        for job in self._joining:
            left = self._outcomes.outputs[job.index] - job.generated
            self._batch.join(job.index, job.target, left)
            self._decoding[job.index] = job
        self._joining.clear()
        while self._batch.growth > self._kv.free:
            self._preempt(max(self._decoding.values(), key=lambda job: job.rank))
        self._kv.grow(self._batch.growth)
        return self.decode_work

    def _settle(self, lanes: list[Lane]) -> None:
        for lane in lanes:
            if lane.busy:
                continue
            took = self.now - lane.began
            if lane.beside is not None:
                self.steps.append(LaneStep(lane is self._prompts, *lane.beside, took))
            lane.beside, lane.work = None, ()
            if lane is self._prompts:
                for job, tokens in self._chunks:
                    self._prefilled(job, tokens)
            else:
                self._decoded(took)

    def _prefilled(self, job: Job, tokens: int) -> None:
        job.computed += tokens
        if job.computed < job.target:
            return
        self.prefilling.remove(job)
        job.generated += 1
        if job.generated == 1:
            self._outcomes.first_token[job.index] = self.now
        else:
            self.gaps.add(self.now - self._token_times.pop(job.index), 1)
        if self._outcomes.outputs[job.index] > job.generated:
            self._joining.append(job)
            self._token_times[job.index] = self.now
        else:
            self._finish(job.index, job.target)

    def _decoded(self, took: float) -> None:
        self.decode_seconds = took
        fresh = [self._token_times.pop(x) for x in self._decoding if x in self._token_times]
        for since in fresh:
            self.gaps.add(self.now - since, 1)
        if len(self._decoding) > len(fresh):
            self.gaps.add(self.now - self._last_decode, len(self._decoding) - len(fresh))
        self._last_decode = self.now
        for index in self._batch.forward(1):
            del self._decoding[index]
            self._finish(index, self._batch.leave(index))

    def _finish(self, index: int, tokens: int) -> None:
        self._kv.release(index, tokens)
        self._outcomes.finished[index] = self.now

    def _admit(self, job: Job) -> None:
        self.waiting.take(job)
        self.prefilling.append(job)
        self._kv.admit(job)

    def _preempt(self, job: Job) -> None:
        seat = self._batch.seats[job.index]
        tokens = self._batch.leave(job.index)
        self._kv.release(job.index, tokens)
        del self._decoding[job.index]
        job.generated += tokens - seat.cached
        job.target, job.computed = job.prompt + job.generated, 0
        self._token_times.setdefault(job.index, self._last_decode)
        self._outcomes.preemptions[job.index] += 1
        self.waiting.add(job)
