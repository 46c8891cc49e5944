"""Waiting: as long as it takes, never longer."""

from datetime import UTC, datetime
from random import Random

import pytest

from bursar.backends.pacing import RateLimit, full_jitter, retry_after
from bursar.errors import BadInput


def test_full_jitter_is_uniform_below_a_doubling_cap():
    rng = Random(0)
    for attempt, cap in ((0, 1.0), (1, 2.0), (5, 10.0)):
        waits = [full_jitter(attempt, base_s=1.0, cap_s=10.0, rng=rng) for _ in range(2000)]
        assert 0 <= min(waits) < 0.02 * cap
        assert 0.98 * cap < max(waits) <= cap
        assert sum(waits) / len(waits) == pytest.approx(cap / 2, rel=0.05)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        ("-4", 0.0),
        ("Wed, 21 Oct 2015 07:28:10 GMT", 10.0),
        ("Wed, 21 Oct 2015 07:20:00 GMT", 0.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        (None, None),
    ],
)
def test_retry_after_in_seconds_or_as_a_date(value, seconds):
    now = datetime(2015, 10, 21, 7, 28, 0, tzinfo=UTC)
    headers = {} if value is None else {"retry-after": value}
    assert retry_after(headers, now=now) == seconds


async def test_a_full_window_waits_until_enough_has_left_it():
    now = 0.0

    async def sleep(seconds):
        nonlocal now
        now += seconds

    limit = RateLimit(10, clock=lambda: now, sleep=sleep, period_s=60)
    await limit.take(6)
    now = 5.0
    await limit.take(4)
    await limit.take(5)  # needs the first 6 to leave
    assert now == 60.0
    await limit.take(5)  # 4 + 5 are there; needs the 4 to leave
    assert now == 65.0


def test_a_limit_of_nothing_is_refused():
    with pytest.raises(BadInput, match="above 0"):
        RateLimit(0, clock=lambda: 0.0, sleep=None)
