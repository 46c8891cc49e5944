"""A replica among others: what routers and controls do to it between the ends of its plans.

Its plan is cut short, jobs go elsewhere or come with their caches, blocks are kept from its jobs,
and its steps take other times.
"""

from __future__ import annotations

from bursar.policies.batching import Job
from bursar.simulate.replica import Replica
from bursar.simulate.step_times import StepTimes


class FleetReplica(Replica):
    """A `Replica` that a fleet can look into and interrupt, at times not beyond its `end`."""

    def joules_until(self, now: float) -> float:
        """Energy of steps and of idling since the start; `now` is not beyond `end`."""
        idle, since = self._times.idle_watts or 0.0, now - self.now
        joules = self.busy_joules + idle * (self.now - self.busy_seconds)
        if not self._steps:
            return joules + idle * since
        line, steps = self._line, self._steps
        return joules + line.joules_of(steps) * since / line.seconds_of(steps)

    def retime(self, times: StepTimes, now: float) -> None:
        """Steps that begin after `now` take other times; the windows are the same."""
        self.pause(now)
        self._times = times

    def catch_up(self, now: float) -> None:
        """Carry out those steps of the plan that are over by `now`, but never its last one."""
        steps, line = self._steps, self._line
        if steps < 2:
            return
        done = line.steps_until(now - self.now)
        done = min(done - (line.seconds_of(done) > now - self.now), steps - 1)
        if done < 1:
            return
        end = self.end
        self._steps, self.end = done, self.now + line.seconds_of(done)
        self._settle()
        self._line, self._steps, self.end = line.after(done), steps - done, end

    def pause(self, now: float) -> float:
        """End the plan with the step that `now` falls in, deaf or not; returns when that is."""
        if not self._steps:
            self.end = now
        elif self._steps > 1:
            before = self.end
            self._cut(now)
            self.series.add(self.end, before, 0, 0.0, self._queued - len(self.waiting), 0.0)
        return self.end

    @property
    def spare_blocks(self) -> int:
        """Blocks that neither a job holds nor the step under way takes."""
        return self.free_blocks - (self._batch.growth if self._decodes else 0)

    def set_aside(self, blocks: int, now: float) -> None:
        """Keep so many spare blocks from the jobs here; fewer than none gives them back."""
        self.catch_up(now)
        assert blocks <= self.spare_blocks, f"{blocks} of {self.spare_blocks} spare blocks"
        self._kv.grow(blocks)
        self.pause(now)

    def decodes(self, job: Job) -> bool:
        """Whether a job's prefill is over here."""
        return job.index in self._batch.seats

    def context(self, job: Job) -> int:
        """Tokens in the cache of a decoding job."""
        return self._batch.cached(job.index)

    def withdraw(self, job: Job, now: float) -> None:
        """A job that waits and has never run goes elsewhere."""
        self.pause(now)
        self.waiting.take(job)
        self.series.add(now, self.end, 0, 0.0, -1, 0.0)

    def hand_over(self, job: Job) -> float | None:
        """At `end`, a decoding job goes elsewhere with its cache; the time of its last token.

        None: it is done with that step.
        """
        self._halt()
        if not self.decodes(job):
            return None
        index, seat = job.index, self._batch.seats[job.index]
        job.target = job.computed = job.received = self._batch.leave(index)
        job.generated += job.target - seat.cached
        self._kv.release(index, job.target)
        del self.running[index]
        self._resumed.pop(index, None)
        return self.gaps.stopped(index)

    def take_over(self, job: Job, last_token: float, blocks: int) -> None:
        """At `end`, such a job comes, for whom so many blocks were set aside."""
        self._halt()
        self._kv.grow(-blocks)
        self.running[job.index] = job
        self._kv.admit(job)
        self._kv.computed(job)
        self._kv.grow(0)
        left = self._outcomes.outputs[job.index] - job.generated
        self._batch.join(job.index, job.target, left)
        self.gaps.began(job.index, last_token)
        self._resumed[job.index] = last_token

    def _halt(self) -> None:
        """Carry out the plan; the next is made now."""
        self._settle()
        self._wait()
        self.end = self.now
