"""One replica in virtual time: continuous batching over a paged KV cache, by macro-steps.

A pure decode step changes nothing but counters, so the replica plans as many of them at once as
nothing can interrupt: until a job is done, blocks run out, a context leaves its class (see
`step_times`), or the policy wants to be asked; an arrival cuts the plan short at the end of the
step it falls in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from bursar.policies.batching import BatchPolicy, Chunk, Decision, Job, blocks_for
from bursar.price import Price
from bursar.simulate.gaps import Gaps
from bursar.simulate.outcomes import Outcomes
from bursar.simulate.replica_state import ReplicaState
from bursar.simulate.series import Series
from bursar.simulate.server import Server
from bursar.simulate.step_times import Line
from bursar.simulate.swapping import Swapping

_STILL = Line(0.0, 0.0, 0.0, 0.0, 0)


class Replica(ReplicaState):
    """An engine with its queue. The caller moves its clock.

    Call `arrive` for arrivals up to `end`, and `advance` when the clock reaches it.
    """

    def __init__(
        self, server: Server, policy: BatchPolicy, price: Price, outcomes: Outcomes
    ) -> None:
        super().__init__(server)
        self._times, self._policy, self._price = server.times, policy, price
        self._outcomes = outcomes
        self._empty = [0] * (len(server.times.windows) + 1)
        self._last_token: dict[int, float] = {}
        """Of jobs preempted or come from elsewhere, by index."""
        self._resumed: dict[int, float] = {}
        """The same of those who came or came back with their cache, until they have decoded."""
        self.series, self.gaps = Series(), Gaps()
        self.busy_seconds = self.busy_joules = self.now = 0.0
        self._wait()

    def arrive(self, job: Job, now: float) -> None:
        """Queue a job that was not here before, at a time not beyond `end`."""
        job.target = job.prompt + job.generated
        if job.generated:
            self._last_token[job.index] = self._outcomes.first_token[job.index]
        if self._swapping is not None:
            self._swapping.arrives(job)
        self.waiting.add(job)
        if not self._steps:
            self.end = now
        elif self._steps > 1 and not self._deaf:
            self._cut(now)
        self.series.add(now, self.end, 0, 0.0, 1, 0.0)

    def close(self, now: float) -> None:
        """Nothing comes any more, and the clock stands at `now`."""
        self.series.add(self.now, now, 0, 0.0, 0, self._times.idle_watts or 0.0)
        self.now = now

    def advance(self) -> None:
        """Carry out the plan, which brings the clock to `end`; then ask the policy, and plan."""
        self._settle()
        if self._swapping is not None:
            for job in self._swapping.landed(self.now):
                self._resume(job)
        if not self.running and not self.waiting:
            self._wait()
            return
        decision = self._ask()
        if decision.chunks:
            self._plan_prefill(decision)
        elif decision.decode and self._batch.seats:
            self._plan_decodes(decision)
        else:
            self._wait()
            if self._swapping is not None:
                self.end = self._swapping.next_landing

    def _ask(self) -> Decision:
        """The policy's decision, its preemptions made; asked again where these leave no step."""
        while True:
            decision = self._policy.decide(self, self.now, self._price)
            if moved := bool(decision.preempt or decision.swap):
                for job in decision.preempt:
                    self._preempt(job)
                for job in decision.swap:
                    self._preempt(job, keep=True)
            if self._swapping is not None and decision.chunks:
                swapping = self._swapping
                here = [one for one in decision.chunks if self._brought_here(one.job, swapping)]
                if len(here) < len(decision.chunks):
                    decision, moved = decision._replace(chunks=here, most_steps=1), True
            if decision.chunks or (decision.decode and self._batch.seats) or not moved:
                return decision

    def _brought_here(self, job: Job, swapping: Swapping) -> bool:
        """Admit a job. False: its cache is on its way, or was all that the job needed."""
        if job.index in self.running:
            return True
        self._admit(job)
        if not swapping.is_away(job):
            swapping.admit(job)
            return True
        if not swapping.fetch(job, self.now):
            return False
        if job.resumes:
            self._resume(job)
        return not job.resumes

    # --- plans: `_steps` steps from `now`, whose times are on `_line` ----------------------------

    def _wait(self) -> None:
        self._plan(_STILL, 0, (), decodes=False, deaf=False)
        self.end = math.inf

    def _plan_prefill(self, decision: Decision) -> None:
        rows = []
        for job, tokens in decision.chunks:
            if job.index not in self.running:
                self._admit(job)
            assert 0 < tokens <= job.target - job.computed, f"{tokens} tokens for {job}"
            rows.append((tokens, job.computed))
        self._kv.grow(0)
        if self._swapping is not None:
            self._stall(self._swapping, self.growth_blocks if decision.decode else 0)
        batch, decodes = self._batch, decision.decode and bool(self._batch.seats)
        counts, contexts = (batch.counts, batch.contexts) if decodes else (self._empty, self._empty)
        seconds, joules = self._times.step(counts, contexts, rows)
        line = Line(seconds, 0.0, joules, 0.0, 1)
        self._plan(line, 1, decision.chunks, decodes=decodes, deaf=False)

    def _plan_decodes(self, decision: Decision) -> None:
        batch = self._batch
        free, until = self._kv.free, decision.until
        if self._swapping is not None:
            free = self._stall(self._swapping, batch.growth)
            until = min(until, self._swapping.next_landing)
        line = self._times.line(batch.counts, batch.contexts)
        steps = batch.steps_within(free)
        if line.steps < steps:
            steps = int(line.steps)
        if decision.preempt or decision.swap:
            steps = min(steps, 1)
        elif decision.most_steps is not None:
            steps = min(steps, decision.most_steps)
        assert steps > 0, f"{self.growth_blocks} blocks needed, {self.free_blocks} free"
        self._plan(line, steps, (), decodes=True, deaf=decision.deaf)
        if until < self.end:
            self._cut(until)

    def _stall(self, swapping: Swapping, growth: int) -> int:
        """Wait until so many blocks can be written to; returns how many can be then."""
        start, free = self.now, self._kv.free
        self.now, usable = swapping.wait_for(growth, free, start)
        held, watts = self.blocks - free, self._times.idle_watts or 0.0
        self.series.add(start, self.now, len(self.running), held, len(self.waiting), watts)
        return usable

    def _plan(
        self, line: Line, steps: int, chunks: Sequence[Chunk], *, decodes: bool, deaf: bool
    ) -> None:
        self._line, self._steps, self._chunks = line, steps, chunks
        self._decodes, self._deaf = decodes, deaf
        self._queued = len(self.waiting)
        self.end = self.now + line.seconds_of(steps)

    def _cut(self, now: float) -> None:
        """End the plan with the step that `now` falls in."""
        steps = self._line.steps_until(now - self.now)
        if steps < self._steps:
            self._steps = steps
            self.end = self.now + self._line.seconds_of(steps)

    # --- what a plan does ------------------------------------------------------------------------

    def _settle(self) -> None:
        start, self.now = self.now, self.end
        steps, line, seconds = self._steps, self._line, self.now - start
        grown, watts = 0, self._times.idle_watts or 0.0
        if steps:
            joules = line.joules_of(steps)
            watts = joules / seconds
            self.busy_seconds += seconds
            self.busy_joules += joules
        if self._decodes:
            grown = self._batch.grown(steps)
        used = self.blocks - self.free_blocks + grown / 2  # blocks grow evenly, so their mean
        self.series.add(start, self.now, len(self.running), used, self._queued, watts)
        if self._decodes:
            self._decode(start, steps, grown)
        for job, tokens in self._chunks:
            self._prefill(job, tokens)
        assert self.free_blocks >= 0, f"{-self.free_blocks} blocks more than there are are held"

    def _decode(self, start: float, steps: int, grown: int) -> None:
        jobs, first = len(self._batch.seats), start + self._line.seconds
        self.gaps.decoded(first, jobs)
        if steps > 1:
            self.gaps.decoded_on(self.now, steps - 1, jobs)
        if self._resumed:
            self._end_stalls(first)
        self._kv.grow(grown)
        if self._swapping is not None:
            self._swapping.grow(self._batch, steps)
        for index in self._batch.forward(steps):
            self._finish(index, self._batch.leave(index))

    def _end_stalls(self, now: float) -> None:
        stalled = self._outcomes.stalled
        for index, since in self._resumed.items():
            stalled[index] = max(stalled[index], now - since)
        self._resumed.clear()

    def _prefill(self, job: Job, tokens: int) -> None:
        begun = job in self.prefilling
        job.computed += tokens
        self._kv.computed(job)
        if job.computed < job.target:
            if not begun:
                self.prefilling.append(job)
            return
        if begun:
            self.prefilling.remove(job)
        job.generated += 1
        if job.generated == 1:
            self._outcomes.first_token[job.index] = self.now
        else:
            stalled, before = self.now - self._last_token.pop(job.index), self._outcomes.stalled
            self.gaps.add(stalled, 1)
            before[job.index] = max(before[job.index], stalled)
        left = self._outcomes.outputs[job.index] - job.generated
        if left:
            self._batch.join(job.index, job.target, left)
            self.gaps.began(job.index, self.now)
        else:
            self._finish(job.index, job.target)

    def _finish(self, index: int, tokens: int) -> None:
        self._kv.release(index, tokens)
        job = self.running.pop(index)
        if self._swapping is not None:
            self._swapping.finish(job, tokens, self.now)
        self._history.add(self._outcomes.outputs[index])
        self._outcomes.finished[index] = self.now
        self._outcomes.done.append(index)

    # --- who is where ----------------------------------------------------------------------------

    def _admit(self, job: Job) -> None:
        self.waiting.take(job)
        self.running[job.index] = job
        self._kv.admit(job)
        if math.isnan(self._outcomes.admitted[job.index]):
            self._outcomes.admitted[job.index] = self.now
            self._outcomes.cached[job.index] = job.computed

    def _resume(self, job: Job) -> None:
        """A running job's cache is back."""
        index = job.index
        if not job.resumes:
            self.prefilling.append(job)
            return
        # It got blocks as if the next token were prefilled; as it is decoded, it takes them then.
        size = self.block_tokens
        self._kv.grow(blocks_for(job.received, size) - blocks_for(job.target, size))
        job.computed = job.target
        self._batch.join(index, job.received, self._outcomes.outputs[index] - job.generated)
        self._resumed[index] = self._last_token.pop(index)
        self.gaps.began(index, self._resumed[index])

    def _preempt(self, job: Job, *, keep: bool = False) -> None:
        index, tokens, cached = job.index, job.target, job.computed
        if (seat := self._batch.seats.get(index)) is not None:
            tokens = cached = self._batch.leave(index)
            job.generated += tokens - seat.cached
            self._last_token[index] = self.gaps.stopped(index)
            self._resumed.pop(index, None)
        elif self._swapping is None or not self._swapping.is_coming(index):
            self.prefilling.remove(job)
        self._kv.preempt(job, cached)
        self._kv.release(index, tokens)
        del self.running[index]
        job.target, job.computed, job.received = job.prompt + job.generated, 0, 0
        if self._swapping is not None:
            job.received = self._swapping.leave(job, cached, self.now, keep=keep)
        job.preemptions += 1
        self._outcomes.preemptions[index] += 1
        self.waiting.add(job)
