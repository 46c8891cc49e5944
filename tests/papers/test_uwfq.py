"""UWFQ: small jobs pass a user of large ones, and nobody gets more by splitting work."""

from dataclasses import replace

import numpy as np
import pytest

from bursar.errors import BadInput
from bursar.policies.queueing import UWFQ, EqualShares, FirstCome, Flows
from bursar.simulate.shared_servers import Demand, finish_times

SERVERS = 8


def crowd(seed, large_jobs=36):
    """(demands, the job of each, jobs that are small): one user of large jobs, four of small ones.

    Large jobs come twelve at a time, each of 40 tasks of about 2 s; small ones have 8 tasks of
    about 0.5 s, and make a tenth of the load, which is 0.9.
    """
    rng = np.random.default_rng(seed)
    demands, jobs, small = [], [], []

    def add(user, arrived, tasks, mean):
        job = jobs[-1] + 1 if jobs else 0
        for seconds in rng.exponential(mean, tasks):
            demands.append(Demand(user, arrived, max(0.01, float(seconds))))
            jobs.append(job)
        return job

    span = large_jobs * 40 * 2.0 / SERVERS / 0.8
    for burst in range(large_jobs // 12):
        for _ in range(12):
            add("large", burst * span * 12 / large_jobs, 40, 2.0)
    for user in "abcd":
        for arrived in rng.uniform(0, span, int(0.1 * span * SERVERS / 4 / 4)):
            small.append(add(user, float(arrived), 8, 0.5))
    return demands, np.array(jobs), small


def mean_response(demands, jobs, wanted, discipline, per_job=False):
    if per_job:
        demands = [replace(d, flow=str(j)) for d, j in zip(demands, jobs, strict=True)]
    done = finish_times(demands, discipline, servers=SERVERS)
    arrived = np.array([d.arrived_s for d in demands])
    return np.mean([(done[jobs == job] - arrived[jobs == job]).max() for job in wanted])


@pytest.mark.parametrize("seed", range(4))
def test_small_jobs_are_done_sooner_than_in_order_or_with_a_share_for_each_job(seed):
    demands, jobs, small = crowd(seed)
    by_user = mean_response(demands, jobs, small, UWFQ())
    in_order = mean_response(demands, jobs, small, FirstCome())
    by_job = min(
        mean_response(demands, jobs, small, shares, per_job=True)
        for shares in (EqualShares(), UWFQ())
    )
    assert by_user <= 0.6 * in_order
    assert by_user <= 0.6 * by_job


def share(pieces, per_job, weight=1.0):
    """The greedy user's share of the servers while both users have work, at `pieces` jobs each."""
    greedy = [
        Demand(f"g{i % pieces}" if per_job else "g", 0.0, 1.0, weight=weight) for i in range(800)
    ]
    modest = [Demand("m", 0.0, 1.0) for _ in range(800)]
    done = finish_times(greedy + modest, UWFQ(), servers=SERVERS)
    return float(np.mean(np.flatnonzero(done <= 50) < 800))


def test_splitting_work_changes_no_users_share():
    assert share(1, per_job=False) == share(8, per_job=False) == pytest.approx(0.5, abs=0.02)
    assert share(1, per_job=True) == pytest.approx(0.5, abs=0.02)
    assert share(8, per_job=True) > 0.85  # the control: jobs are what is fair there


def test_shares_follow_weights():
    assert share(1, per_job=False, weight=3.0) == pytest.approx(0.75, abs=0.02)


def test_smaller_requests_get_no_larger_share():
    coarse = [Demand("coarse", 0.0, 2.0) for _ in range(400)]
    fine = [Demand("fine", 0.0, 0.25) for _ in range(3200)]
    done = finish_times(coarse + fine, UWFQ(), servers=SERVERS)
    assert np.sum(done[:400] <= 50) * 2.0 == pytest.approx(200, abs=20)


def test_idleness_saves_up_no_claim():
    always = [Demand("always", 0.1 * i, 1.0) for i in range(1000)]
    late = [Demand("late", 60.0, 1.0) for _ in range(400)]
    done = finish_times(always + late, UWFQ(), servers=SERVERS)
    both = (done > 60) & (done <= 90)
    assert np.mean(np.flatnonzero(both) < 1000) == pytest.approx(0.5, abs=0.05)


def test_the_urgent_go_first():
    many = [Demand("a", 0.0, 1.0) for _ in range(50)]
    urgent = Demand("b", 0.5, 1.0, priority=1)
    for discipline in (UWFQ(), FirstCome()):
        assert finish_times([*many, urgent], discipline, servers=1)[-1] == 2.0


def test_every_request_is_served_and_no_server_idles_while_one_waits():
    demands, _, _ = crowd(9, large_jobs=3)
    for discipline in (UWFQ(), FirstCome()):
        done = finish_times(demands, discipline, servers=SERVERS)
        begun = done - [d.seconds for d in demands]
        assert np.all(begun >= np.array([d.arrived_s for d in demands]) - 1e-9)
        events = sorted([(t + 1e-9, 1) for t in begun] + [(t, -1) for t in done])
        assert max(np.cumsum([step for _, step in events])) == SERVERS
    # whatever the order, the same work is done in the same time
    whole = [Demand(d.flow, 0.0, 1.0) for d in demands]
    ends = {finish_times(whole, d, servers=SERVERS).max() for d in (UWFQ(), FirstCome())}
    assert len(ends) == 1


def test_bad_input():
    with pytest.raises(BadInput, match="servers"):
        finish_times([], UWFQ(), servers=0)
    with pytest.raises(BadInput, match="cost"):
        Flows(UWFQ()).push("a", 1, cost=0, now=0)


def test_flows_that_owe_nothing_are_forgotten():
    flows = Flows(UWFQ())
    for i in range(5000):
        flows.push(f"flow {i}", i, cost=1, now=0)
        assert flows.pop(0).item == i
    assert len(flows._flows) < 1100
