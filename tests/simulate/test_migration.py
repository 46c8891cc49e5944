"""Running jobs that move: nothing is lost, nowhere too much memory, and time is charged."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar import catalog
from bursar.cost import Deployment
from bursar.errors import BadInput
from bursar.policies.batching import BatchPolicy, BatchState, Decision, PrefillFirst, SarathiServe
from bursar.policies.migration import Llumnix, MigrationState, Move
from bursar.policies.routing import LeastJobs, RoundRobin
from bursar.price import Price
from bursar.simulate import (
    LinearTimes,
    Link,
    Migration,
    RooflineTimes,
    Scaling,
    Server,
    Simulation,
    simulate,
)
from bursar.workload.traces import Labels, Trace

BYTES = 1e5
LINK = Link(1e9, lambda tokens: BYTES * np.asarray(tokens, dtype=float))
LINEAR = LinearTimes(0.01, per_token=1e-5, per_context=1e-6)
DENSE = RooflineTimes(Deployment(catalog.model("llama-3.1-8b"), catalog.device("h100")))


@dataclass
class Restless:
    """Always moves some job from the first replica that is free to move one to the next such."""

    def decide(self, state: MigrationState, now: float, price: Price) -> list[Move]:
        still = [place for place, moving in enumerate(state.moving) if not moving]
        for source in still:
            replica = state.replicas[source]
            jobs = [job for job in replica.running.values() if job.computed == job.target]
            targets = [x for x in still if x != source and not state.draining[x]]
            if jobs and targets:
                return [Move(jobs[len(jobs) // 2], source, targets[len(jobs) % len(targets)])]
        return []


@dataclass
class Watched:
    """A policy that sees that blocks are neither lost nor lent out twice."""

    policy: BatchPolicy
    most_steps: int | None = None
    least: int = field(default=10**9)

    def decide(self, state: BatchState, now: float, price: Price) -> Decision:
        self.least = min(self.least, state.free_blocks)
        held = sum(state.held_blocks(job) for job in state.running.values())
        assert held + state.free_blocks <= state.blocks
        decision = self.policy.decide(state, now, price)
        return decision if self.most_steps is None else decision._replace(most_steps=1)


def workload(seed: int, requests: int = 80, rate: float = 25.0, longest: int = 200) -> Trace:
    rng = np.random.default_rng(seed)
    return Trace(
        np.cumsum(rng.exponential(1 / rate, requests)),
        rng.integers(1, longest, requests),
        np.ceil(np.minimum(rng.exponential(longest / 2, requests), longest)),
        priority=rng.integers(0, 2, requests),
        prefix_id=Labels.of(rng.choice(["", "a", "b"], requests).tolist()),
    )


def check_laws(run: Simulation, server: Server) -> None:
    """Each request once and whole; time in the system is what the timeline says."""
    trace = run.trace
    assert run.served.all()
    assert run.usage.tokens == trace.input_tokens.sum() + trace.output_tokens.sum()
    assert run.gaps.tokens == trace.output_tokens.sum() - len(trace)
    assert (run.first_token_s <= run.finished_s).all()
    line, entered = run.timeline, trace.arrival_s + server.times.seconds_per_request
    inside = float(np.sum((line.running + line.waiting) * line.seconds))
    assert inside == pytest.approx(float(np.sum(run.finished_s - entered)), rel=1e-9)
    assert line.blocks.max() <= server.blocks * len(run.busy_seconds) + 1e-6
    if line.watts is not None:
        assert float(line.watts @ line.seconds) == pytest.approx(run.usage.joules)


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_macro_steps_equal_single_steps_and_nothing_is_lost(data: st.DataObject) -> None:
    """With every step planned alone, all that happens happens at the same times."""
    trace = workload(data.draw(st.integers(0, 2**32), label="seed"))
    server = Server(
        data.draw(st.sampled_from([LINEAR, DENSE]), label="times"),
        blocks=data.draw(st.sampled_from([60, 100, 400]), label="blocks"),
        block_tokens=8,
        prefix_cache=data.draw(st.booleans(), label="prefix_cache"),
    )
    policy = data.draw(st.sampled_from([PrefillFirst(), SarathiServe(8), SarathiServe(64)]))
    link = Link(data.draw(st.sampled_from([1e7, 1e8, 1e10]), label="link"), LINK.cache_bytes)
    mover = data.draw(st.sampled_from([Restless(), Llumnix()]), label="mover")
    control = Migration(mover, link, data.draw(st.sampled_from([0.02, 0.3]), label="interval"))
    replicas = data.draw(st.integers(2, 4), label="replicas")
    runs = []
    for most_steps in (None, 1):
        watched = Watched(policy, most_steps)
        controls = [control]
        runs.append(simulate(trace, server, watched, replicas=replicas, controls=controls))
        check_laws(runs[-1], server)
        assert watched.least >= 0
    fast, slow = runs
    np.testing.assert_array_equal(fast.replica, slow.replica)
    np.testing.assert_array_equal(fast.moves, slow.moves)
    for name in ("admitted_s", "first_token_s", "finished_s", "stalled_s"):
        np.testing.assert_allclose(
            getattr(fast, name), getattr(slow, name), rtol=1e-6, atol=1e-9, err_msg=name
        )


def test_they_do_move() -> None:
    control = Migration(Restless(), LINK, 0.02)
    run = simulate(
        workload(0), Server(DENSE, 400, 8), SarathiServe(), replicas=3, controls=[control]
    )
    assert run.moves.sum() > 50
    assert run.moves.max() > 1


class Once:
    """Moves the only job from the first replica to the second, at second 1."""

    def decide(self, state: MigrationState, now: float, price: Price) -> list[Move]:
        first = list(state.replicas[0].running.values())
        return [Move(first[0], 0, 1)] if now == 1.0 and first else []


@pytest.mark.parametrize("stop", [0.0, 0.25])
def test_a_job_decodes_while_its_cache_is_sent_and_stops_only_for_the_last_tokens(
    stop: float,
) -> None:
    """Worked by hand: steps of 10 ms, a token of 1,000 bytes takes 1 ms.

    At second 1 about 100 tokens are cached, which take 0.1 s; the 10 that come meanwhile take
    0.01 s; then one is left, and the one of the step under way: 2 ms in which the job stands still.
    """
    link = Link(1e6, lambda tokens: 1000.0 * np.asarray(tokens, dtype=float))
    trace, server = Trace([0.0], [3], [400]), Server(LinearTimes(0.01), blocks=100)
    control = Migration(Once(), link, 0.5, stop_seconds=stop)
    run = simulate(trace, server, SarathiServe(), replicas=2, controls=[control])
    still = simulate(trace, server, SarathiServe())
    assert run.moves.tolist() == [1]
    assert run.replica.tolist() == [1]
    lost = run.finished_s[0] - still.finished_s[0]
    assert lost == pytest.approx(0.002 + stop)
    assert run.stalled_s[0] == pytest.approx(0.01 + lost)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_slower_link_stops_nobody_for_longer_than_the_last_tokens_take(seed: int) -> None:
    server, trace = Server(DENSE, 2000, 8), workload(seed)
    for speed in (1e8, 1e10):
        link = Link(speed, LINK.cache_bytes)
        control = Migration(Restless(), link, 0.02, stop_seconds=0.0)
        run = simulate(trace, server, SarathiServe(64), replicas=3, controls=[control])
        moved = run.stalled_s[(run.moves > 0) & (run.preemptions == 0)]
        longest_step = run.gaps.quantile(1.0)
        assert longest_step is not None
        assert moved.max() < 6 * BYTES / speed + 3 * longest_step


def test_a_replica_that_drains_is_soon_empty() -> None:
    """It would wait for its longest answer; with migration it is paid for a few seconds more."""

    class Shrinks:
        def decide(self, state: object, now: float, price: Price) -> int:
            return 1 if now >= 5.0 else 2

    trace = Trace(np.arange(20) * 0.1, np.full(20, 50), np.full(20, 3000))
    server = Server(LinearTimes(0.01), blocks=10_000, usd_per_second=1.0)
    scaling = Scaling(Shrinks(), interval_seconds=1.0, patience_seconds=0.0)
    runs = [
        simulate(trace, server, SarathiServe(), replicas=2, router=LeastJobs(), controls=controls)
        for controls in ([scaling], [scaling, Migration(Llumnix(), LINK, 0.1)])
    ]
    rents = [run.usage.usd - run.usage.seconds for run in runs]  # type: ignore[operator]
    assert rents[0] == pytest.approx(30.0, rel=0.1)
    assert rents[1] < 10.0
    assert runs[1].served.all()


def test_the_same_run_twice_is_the_same() -> None:
    server, control = Server(DENSE, 100, 8), Migration(Restless(), LINK, 0.1)
    one, two = (
        simulate(
            workload(3),
            server,
            SarathiServe(),
            replicas=3,
            router=RoundRobin(),
            controls=[control],
        )
        for _ in range(2)
    )
    np.testing.assert_array_equal(one.finished_s, two.finished_s)


def test_bad_settings_name_the_value() -> None:
    with pytest.raises(BadInput, match="interval_seconds = 0"):
        Migration(Llumnix(), LINK, 0.0)
    with pytest.raises(BadInput, match="stop_seconds = -1"):
        Migration(Llumnix(), LINK, stop_seconds=-1)
    with pytest.raises(BadInput, match="source_below = 3"):
        Llumnix(source_below=3, target_above=2)
