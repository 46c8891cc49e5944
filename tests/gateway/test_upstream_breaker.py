"""The circuit breaker, on a clock of its own."""

import pytest

from bursar.errors import BadInput
from bursar.gateway.upstream import BreakerSettings
from bursar.gateway.upstream.breaker import Breaker

SETTINGS = BreakerSettings(most_failures=3, window_s=10, open_s=2, most_open_s=5)


def call(breaker, now, well, **more):
    breaker.ended(now, well=well, decides=breaker.began(now), **more)


def failed(times):
    breaker = Breaker(SETTINGS)
    for now in times:
        call(breaker, now, False)
    return breaker


def test_it_opens_after_so_many_failures_in_a_window():
    assert failed([0, 1]).state(1) == "closed"
    assert failed([0, 1, 2]).state(2) == "open"
    assert failed([0, 5, 11]).state(11) == "closed"
    assert failed([0, 5, 11, 12]).state(12) == "open"


def test_successes_between_do_not_hide_that_it_fails_often():
    breaker = Breaker(SETTINGS)
    for now in range(3):
        call(breaker, now, False)
        call(breaker, now, True)
    assert breaker.state(2) == "open"


def test_one_call_at_a_time_is_let_through_and_decides():
    breaker = failed([0, 0, 0])
    assert not breaker.lets_through(1.9)
    assert breaker.open_s(0.5) == 1.5
    assert breaker.lets_through(2)
    assert breaker.state(2) == "half open"
    assert breaker.began(2)
    assert not breaker.lets_through(2)
    assert not breaker.began(2)
    breaker.ended(2, well=True, decides=True)
    assert breaker.state(2) == "closed"


def test_it_stays_open_twice_as_long_each_time_up_to_a_limit():
    breaker, now = failed([0, 0, 0]), 0.0
    seen = []
    for _ in range(4):
        seen.append(breaker.open_s(now))
        now += breaker.open_s(now)
        call(breaker, now, False)
    assert seen == [2, 4, 5, 5]
    now += breaker.open_s(now)
    call(breaker, now, True)
    assert breaker.state(now) == "closed"
    for _ in range(3):
        call(breaker, now, False)
    assert breaker.open_s(now) == 2  # as at first


def test_what_says_nothing_decides_nothing():
    breaker = failed([0, 0, 0])
    call(breaker, 3, None)
    assert breaker.state(3) == "half open"
    assert breaker.lets_through(3)


def test_late_failures_of_calls_under_way_do_not_open_it_longer():
    breaker = failed([0, 0, 0, 0, 0, 0, 0])
    assert breaker.open_s(0) == 2


def test_what_the_upstream_asks_for_is_respected_and_then_over():
    breaker = Breaker(SETTINGS)
    call(breaker, 0, False, asked_s=7)
    assert breaker.state(6.9) == "open"
    assert breaker.open_s(1) == 6
    assert breaker.state(7) == "closed"


def test_health_checks_open_it_and_let_it_try_early():
    breaker = Breaker(SETTINGS)
    for _ in range(3):
        breaker.probed(0, well=False)
    assert breaker.state(0) == "open"
    breaker.probed(1, well=True)
    assert breaker.state(1) == "half open"
    breaker.probed(1, well=False)
    assert breaker.open_s(1) == 4
    call(breaker, 1, False, asked_s=9)
    breaker.probed(2, well=True)
    assert breaker.open_s(2) == 8


@pytest.mark.parametrize(
    "wrong", [{"most_failures": 0}, {"window_s": 0}, {"open_s": 0}, {"most_open_s": 0.5}]
)
def test_settings_that_can_not_be(wrong):
    with pytest.raises(BadInput):
        BreakerSettings(**wrong)
