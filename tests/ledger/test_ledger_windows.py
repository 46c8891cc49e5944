"""Limits per period: calendar and rolling windows, of accounts in a ledger."""

from calendar import timegm

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import Clock

from bursar.budget import Budget
from bursar.errors import BadInput, BudgetExceeded
from bursar.ledger import Ledger
from bursar.usage import Usage

DAY = 86400.0
CENT = Usage(usd=0.01)


def refused(ledger: Ledger, account: str, upper: Usage) -> BudgetExceeded:
    with pytest.raises(BudgetExceeded) as error:
        ledger.reserve(account, [upper])
    return error.value


def test_several_windows_and_resources_limit_one_account(ledger: Ledger, clock: Clock) -> None:
    clock.now = 100 * DAY
    text = "5 USD per day, 200k tokens per minute, 3 requests per minute, 6 USD"
    ledger.set_limits("key", text)
    call = Usage(usd=1.0, tokens_in=100, tokens_out=100, requests=1)
    for _ in range(3):
        (hold,) = ledger.reserve("key", [call])
        ledger.settle({hold: call})
    error = refused(ledger, "key", call)
    assert (error.resource, error.window, error.resets_at) == ("requests", "minute", clock.now + 60)
    clock.now += 60
    ledger.reserve("key", [call, call])
    error = refused(ledger, "key", call)
    assert (error.resource, error.window, error.resets_at) == ("usd", "day", 101 * DAY)
    assert "asked with 5 of 5 per day spent or held; resets in 24 h" in str(error)
    clock.now = 101 * DAY
    ledger.reserve("key", [call])
    error = refused(ledger, "key", call)
    assert (error.resource, error.window, error.resets_at) == ("usd", None, None)
    assert "resets" not in str(error)
    ledger.verify()


def test_what_never_fits_does_not_reset(ledger: Ledger) -> None:
    ledger.set_limits("key", "1 USD per day")
    assert refused(ledger, "key", Usage(usd=2)).resets_at is None


def test_a_hold_and_its_late_settlement_count_in_the_window_it_began_in(
    ledger: Ledger, clock: Clock
) -> None:
    clock.now = 10 * DAY - 1
    ledger.set_limits("key", "1 USD per day")
    (hold,) = ledger.reserve("key", [Usage(usd=1)])
    refused(ledger, "key", CENT)
    clock.now += 2
    (today,) = ledger.reserve("key", [Usage(usd=1)])
    ledger.settle({hold: Usage(usd=0.7)})
    refused(ledger, "key", CENT)
    ledger.settle({today: Usage(usd=0.4)})
    (window,) = ledger.totals("key").windows
    assert (window.spent, window.held, window.resets_at) == (0.4, 0, 11 * DAY)
    assert ledger.totals("key").spent.usd == pytest.approx(1.1)
    ledger.verify()


def test_an_expired_hold_stays_in_its_window_and_is_corrected_there(
    ledger: Ledger, clock: Clock
) -> None:
    clock.now = 10 * DAY
    ledger.set_limits("key", "1 USD per day")
    (hold,) = ledger.reserve("key", [Usage(usd=1)])
    clock.now += 60
    assert ledger.recover() == 1
    refused(ledger, "key", CENT)
    ledger.settle({hold: Usage(usd=0.25)})
    (window,) = ledger.totals("key").windows
    assert (window.spent, window.held) == (0.25, 0)
    ledger.verify()


def test_every_ancestor_has_its_windows_and_the_outermost_speaks_first(
    ledger: Ledger, clock: Clock
) -> None:
    clock.now = 10 * DAY
    ledger.set_limits("org", "0.05 USD per hour")
    ledger.set_limits("org/key", "0.05 USD per minute")
    ledger.reserve("org/key", [Usage(usd=0.05)])
    error = refused(ledger, "org/key", CENT)
    assert (error.scope, error.window) == ("org", "hour")
    clock.now += 60
    assert refused(ledger, "org/key", CENT).scope == "org"
    clock.now += 3600
    ledger.reserve("org/key", [CENT])


@pytest.mark.parametrize(
    ("window", "first", "resets"),
    [
        ("minute", (2026, 2, 28, 23, 59, 30), (2026, 3, 1, 0, 0, 0)),
        ("hour", (2026, 2, 28, 22, 59, 30), (2026, 2, 28, 23, 0, 0)),
        ("week", (2026, 11, 20, 12, 0, 0), (2026, 11, 23, 0, 0, 0)),  # Friday -> Monday
        ("week", (2026, 11, 23, 0, 0, 0), (2026, 11, 30, 0, 0, 0)),
        ("month", (2024, 2, 29, 12, 0, 0), (2024, 3, 1, 0, 0, 0)),
        ("month", (2025, 12, 31, 23, 59, 59), (2026, 1, 1, 0, 0, 0)),
    ],
)
def test_calendar_windows_end_in_utc(
    ledger: Ledger, clock: Clock, window: str, first: tuple[int, ...], resets: tuple[int, ...]
) -> None:
    clock.now = float(timegm(first))
    ledger.set_limits("key", f"0.01 USD per {window}")
    ledger.reserve("key", [CENT])
    assert refused(ledger, "key", CENT).resets_at == timegm(resets)
    clock.now = timegm(resets) - 1e-3
    refused(ledger, "key", CENT)
    clock.now = float(timegm(resets))
    ledger.reserve("key", [CENT])


def test_a_rolling_window_frees_what_is_older_and_says_when(ledger: Ledger, clock: Clock) -> None:
    ledger.set_limits("key", "0.02 USD per rolling 60 s")
    clock.now = 1000.5
    ledger.reserve("key", [CENT])
    clock.now = 1030.0
    ledger.reserve("key", [CENT])
    error = refused(ledger, "key", CENT)
    assert (error.window, error.resets_at) == ("rolling 1 min", 1061.0)
    assert refused(ledger, "key", Usage(usd=0.02)).resets_at == 1091.0
    clock.now = 1060.9
    refused(ledger, "key", CENT)
    clock.now = 1061.0
    ledger.reserve("key", [CENT])
    ledger.verify()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 40_000), st.integers(0, 7), st.sampled_from("srx")), max_size=60
    )
)
def test_never_over_in_any_interval_of_a_rolling_windows_length(
    steps: list[tuple[int, int, str]],
) -> None:
    """Milliseconds until the next call, cents of it, and how it ends."""
    clock, length, limit = Clock(), 61, 10
    begun: list[tuple[float, int]] = []
    with Ledger(clock=clock, ttl_s=100) as ledger:
        ledger.set_limits("key", f"{limit / 100} USD per rolling {length} s")
        for wait, cents, end in steps:
            clock.now += wait / 1000
            counted = sum(c for at, c in begun if at > clock.now - length)
            if counted + cents <= limit and ledger.budget("key").fits(CENT, cents) < cents:
                continue  # what is up to a bucket older counts as well
            if counted + cents > limit:
                resets_at = refused(ledger, "key", Usage(usd=cents / 100)).resets_at
                assert resets_at is not None
                assert clock.now < resets_at <= clock.now + length * 61 / 60 + 1e-6
                continue
            (hold,) = ledger.reserve("key", [Usage(usd=cents / 100)])
            if end == "r":
                ledger.release([hold])
            else:
                begun.append((clock.now, cents))
                if end == "s":
                    ledger.settle({hold: Usage(usd=cents / 100)})
        for start, _ in begun:
            assert sum(c for at, c in begun if start <= at < start + length) <= limit
        ledger.verify()


def test_a_clock_that_steps_back_opens_no_window_again(ledger: Ledger, clock: Clock) -> None:
    clock.now = 10 * DAY
    ledger.set_limits("key", "0.01 USD per day")
    ledger.reserve("key", [CENT])
    clock.now -= 1
    refused(ledger, "key", CENT)
    assert [entry.time for entry in ledger.entries()] == [10 * DAY] * 2
    ledger.verify()


def test_a_window_kept_by_new_limits_goes_on_counting_and_a_new_one_begins_at_zero(
    ledger: Ledger,
) -> None:
    ledger.set_limits("key", "0.02 USD per day")
    (before,) = ledger.reserve("key", [CENT])
    ledger.set_limits("key", "0.03 USD per day, 0.01 USD per hour")
    ledger.settle({before: CENT})
    day, hour = ledger.totals("key").windows
    assert (day.window, day.limit, day.spent, day.held) == ("day", 0.03, 0.01, 0)
    assert (hour.window, hour.limit, hour.spent, hour.held) == ("hour", 0.01, 0, 0)
    ledger.reserve("key", [CENT])
    assert refused(ledger, "key", CENT).window == "hour"
    ledger.verify()


def test_two_handles_and_a_new_one_count_together(place: str, clock: Clock) -> None:
    if place == ":memory:":
        pytest.skip("one handle only")
    with Ledger(place, clock=clock) as one, Ledger(place, clock=clock) as two:
        one.set_limits("key", "0.03 USD per day")
        one.reserve("key", [CENT])
        two.reserve("key", [CENT])
        one.reserve("key", [CENT])
        refused(two, "key", CENT)
    with Ledger(place, clock=clock) as later:
        refused(later, "key", CENT)
        later.verify()


def test_a_budget_on_an_account_knows_its_windows(ledger: Ledger, clock: Clock) -> None:
    job = ledger.budget("job", "0.05 USD per day, 1 USD")
    assert ledger.budget("job", "1 USD, 0.05 USD per day").limits == {"usd": 1.0}
    job.reserve(CENT).settle(CENT)
    assert job.remaining("usd") == 0.04
    assert job.fits(CENT, 10) == 4
    clock.now += DAY
    assert job.fits(CENT, 10) == 5
    with pytest.raises(BadInput, match=r"0\.05 usd per day.*, not 2 usd per day"):
        ledger.budget("job", "2 USD per day")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("5 USD per fortnight", "no window 'fortnight'"),
        ("5 USD per rolling 20 tokens", "whole seconds"),
        ("5 USD per rolling 0.5 s", "whole seconds"),
        ("5 USD per rolling", "can't read"),
        ("5 USD per day, 6 USD per day", "limited twice"),
        ("5 USD per rolling 24 h, 6 USD per rolling 86400 s", "limited twice"),
    ],
)
def test_bad_windows_are_named(ledger: Ledger, text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        ledger.set_limits("key", text)


def test_a_budget_in_memory_has_no_windows() -> None:
    with pytest.raises(BadInput, match="account of a ledger"):
        Budget("5 USD per day")
    with pytest.raises(BadInput, match="account of a ledger"):
        Budget({"usd per day": 5.0})
