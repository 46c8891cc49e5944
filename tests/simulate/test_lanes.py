"""Lanes: laws that any schedule obeys, cases worked by hand, and what is refused."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import BadInput, Infeasible
from bursar.simulate.lanes import Task, critical_path_seconds, lane_seconds, run_lanes


@st.composite
def graphs(draw: st.DrawFn) -> list[Task]:
    """Up to 12 tasks on three lanes and none, each giving back what it took."""
    tasks: list[Task] = []
    for index in range(draw(st.integers(1, 12))):
        after = draw(st.sets(st.integers(0, index - 1), max_size=3)) if index else set()
        size = draw(st.integers(0, 4))
        tasks.append(
            Task(
                draw(st.sampled_from(["cpu", "gpu", "pcie", None])),
                draw(st.integers(0, 5)),
                tuple(after),
                takes_bytes=size,
                frees_bytes=size,
            )
        )
    return tasks


@given(graphs())
def test_laws_of_any_schedule(tasks: list[Task]) -> None:
    run = run_lanes(tasks, memory_bytes=5)
    work = lane_seconds(tasks)
    assert run.makespan_seconds >= max([critical_path_seconds(tasks), *work.values()])
    assert run.makespan_seconds <= sum(task.seconds for task in tasks)
    assert run.peak_bytes <= 5
    assert run.held_bytes == 0
    assert np.allclose(run.finish_seconds - run.start_seconds, [task.seconds for task in tasks])
    for index, task in enumerate(tasks):
        for before in task.after:
            assert run.finish_seconds[before] <= run.start_seconds[index]
    for lane in work:
        mine = sorted(
            (run.start_seconds[i], run.finish_seconds[i])
            for i, task in enumerate(tasks)
            if task.lane == lane
        )
        assert all(a[1] <= b[0] for a, b in pairwise(mine))
        assert sum(end - begin for begin, end in mine) == work[lane]


@given(graphs())
def test_a_lane_is_idle_only_when_nothing_can_run(tasks: list[Task]) -> None:
    """Without a limit on memory, whatever waits, waits for a predecessor or for its lane."""
    run = run_lanes(tasks)
    ends = {lane: [0.0] for lane in lane_seconds(tasks)}
    for index, task in enumerate(tasks):
        if task.lane is not None:
            ends[task.lane].append(run.finish_seconds[index])
    for index, task in enumerate(tasks):
        ready = max((run.finish_seconds[before] for before in task.after), default=0.0)
        begun = run.start_seconds[index]
        assert begun == ready or (task.lane is not None and begun in ends[task.lane])


def test_two_lanes_worked_by_hand() -> None:
    """Loads of 2, 2, 2 s and computations of 3, 1, 1 s: 2 + 3, then 1, then 6 + 1."""
    tasks = []
    for compute in (3.0, 1.0, 1.0):
        tasks.append(Task("disk", 2.0))
        tasks.append(Task("cpu", compute, (len(tasks) - 1,)))
    run = run_lanes(tasks)
    assert run.finish_seconds.tolist() == [2, 5, 4, 6, 6, 7]
    assert run.makespan_seconds == 7


def test_memory_for_one_layer_makes_it_serial() -> None:
    """The same loads with room for one layer: (2 + 3) + (2 + 1) + (2 + 1)."""
    tasks = []
    for compute in (3.0, 1.0, 1.0):
        tasks.append(Task("disk", 2.0, takes_bytes=10))
        tasks.append(Task("cpu", compute, (len(tasks) - 1,), frees_bytes=10))
    assert run_lanes(tasks, memory_bytes=10).makespan_seconds == 11
    two = run_lanes(tasks, memory_bytes=20)
    assert two.makespan_seconds == 8  # the third load waits for the first computation
    assert two.peak_bytes == 20
    assert run_lanes(tasks, memory_bytes=30).makespan_seconds == 7


def test_a_delay_needs_no_lane() -> None:
    tasks = [Task("link", 1.0), Task(None, 5.0, (0,)), Task("link", 1.0), Task(None, 5.0, (2,))]
    assert run_lanes(tasks).finish_seconds.tolist() == [1, 6, 2, 7]


def test_the_first_in_order_goes_first() -> None:
    tasks = [Task("cpu", 2.0), Task("gpu", 1.0, (0,)), Task("gpu", 4.0)]
    assert run_lanes(tasks).start_seconds.tolist() == [0, 4, 0]


def test_what_is_refused_names_the_task() -> None:
    with pytest.raises(BadInput, match="task 0 'a': seconds is nan"):
        run_lanes([Task("cpu", float("nan"), name="a")])
    with pytest.raises(BadInput, match="name only tasks that stand before it"):
        run_lanes([Task("cpu", 1.0, (0,))])
    with pytest.raises(Infeasible, match=r"task 1 .* 5 too little"):
        run_lanes(
            [Task("cpu", 1.0, takes_bytes=10), Task("cpu", 1.0, takes_bytes=5)], memory_bytes=10
        )
    with pytest.raises(BadInput, match="held"):
        run_lanes([], memory_bytes=1, held_bytes=2)


def test_nothing_takes_no_time() -> None:
    assert run_lanes([]).makespan_seconds == 0
