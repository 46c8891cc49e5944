"""Users who wait for their answer: the laws of a closed loop, and the same users every time."""

import heapq

import numpy as np
import pytest

from bursar.errors import BadInput
from bursar.workload.traces import ClosedLoop, EmpiricalLengths, Turn

LENGTHS = EmpiricalLengths(np.arange(1, 100), np.arange(100, 1, -1))


def drawn(users: int, turns: int, think_s: float) -> ClosedLoop:
    return ClosedLoop.drawn(users, turns, think_s, LENGTHS, np.random.default_rng(3))


def served(loop: ClosedLoop, seconds_each: float) -> list[Turn]:
    """All turns in order, by a server that takes `seconds_each` for every request."""
    waiting = [(turn.arrival_s, turn.user, turn) for turn in loop.first()]
    heapq.heapify(waiting)
    seen = []
    while waiting:
        _, user, turn = heapq.heappop(waiting)
        seen.append(turn)
        following = loop.after(turn, turn.arrival_s + seconds_each)
        if following is not None:
            heapq.heappush(waiting, (following.arrival_s, user, following))
    return seen


@pytest.mark.parametrize(("users", "service_s", "think_s"), [(20, 2.0, 8.0), (5, 1.0, 0.0)])
def test_throughput_is_users_over_response_and_think_time(
    users: int, service_s: float, think_s: float
) -> None:
    """The interactive response time law, X = N / (R + Z)."""
    turns = served(drawn(users, 800, think_s), service_s)
    until = min(turn.arrival_s for turn in turns if turn.number == 799)  # all still ask
    rate = sum(turn.arrival_s < until for turn in turns) / until
    assert rate == pytest.approx(users / (service_s + think_s), rel=0.03)


def test_every_user_asks_in_turn_and_then_stops() -> None:
    turns = served(drawn(4, 6, 1.0), 0.5)
    for user in range(4):
        assert [turn.number for turn in turns if turn.user == user] == list(range(6))


def test_a_slower_server_meets_the_same_users() -> None:
    """Who thinks how long and asks what does not depend on when the answers come."""
    loop = drawn(6, 10, 3.0)
    fast, slow = served(loop, 0.1), served(loop, 30.0)
    by_fast, by_slow = ({(t.user, t.number): t for t in turns} for turns in (fast, slow))
    assert by_fast.keys() == by_slow.keys()
    for key, turn in by_fast.items():
        other = by_slow[key]
        assert (turn.input_tokens, turn.output_tokens) == (other.input_tokens, other.output_tokens)
        assert turn.arrival_s - turn.number * 0.1 == pytest.approx(
            other.arrival_s - other.number * 30.0
        )


def test_nonsense_is_refused() -> None:
    with pytest.raises(BadInput, match="0 users"):
        drawn(0, 1, 1.0)
    with pytest.raises(BadInput, match="mean_think_s is -1"):
        drawn(1, 1, -1.0)
    loop = drawn(1, 2, 1.0)
    (turn,) = loop.first()
    with pytest.raises(BadInput, match="can't be answered"):
        loop.after(turn, turn.arrival_s - 1)
