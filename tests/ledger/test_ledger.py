"""The ledger: the same laws as a budget, durable, on both databases."""

import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)
from ledgers import CALL, Clock

from bursar.errors import BadInput, BudgetExceeded, Unbounded
from bursar.ledger import Ledger
from bursar.receipt import Receipt
from bursar.usage import Usage


def test_a_spend_charges_the_account_and_all_above_it(ledger: Ledger) -> None:
    ledger.set_limits("team", "1 USD")
    job = ledger.budget("team/key/job", "0.10 USD")
    job.reserve(CALL, "sample 1").settle(CALL)
    ledger.budget("team/other").reserve(CALL).settle(CALL)
    assert [(t.path, t.spent.usd) for t in ledger.accounts()] == [
        ("team", 0.036),
        ("team/key", 0.018),
        ("team/key/job", 0.018),
        ("team/other", 0.018),
    ]
    assert ledger.totals("team").limits == {"usd": 1.0}
    assert ledger.verify().entries == len(ledger.entries()) == 7


def test_the_outermost_account_refuses_first(ledger: Ledger) -> None:
    ledger.set_limits("team", "0.01 USD")
    job = ledger.budget("team/job", "0.01 USD")
    with pytest.raises(BudgetExceeded, match=r"^team: 0\.018 usd asked with 0 of 0\.01"):
        job.reserve(CALL)
    assert ledger.open_holds() == []


def test_a_scope_inside_the_process_limits_too_and_writes_nothing(ledger: Ledger) -> None:
    job = ledger.budget("job", "1 USD")
    question = job.child("q1", "0.02 USD")
    before = len(ledger.entries())
    question.reserve(CALL).settle(CALL)
    with pytest.raises(BudgetExceeded, match="job/q1"):
        question.reserve(CALL)
    assert len(ledger.entries()) == before + 2
    assert question.remaining("usd") == pytest.approx(0.002)
    assert [t.path for t in ledger.accounts()] == ["job"]


def test_two_handles_share_one_limit(ledger: Ledger) -> None:
    one, two = ledger.budget("job", "0.10 USD"), ledger.budget("job")
    holds = [one.reserve(CALL) for _ in range(3)]
    assert two.fits(CALL, 10) == 2
    assert len(two.reserve_many([CALL] * 9)) == 2
    with pytest.raises(BudgetExceeded):
        one.reserve(CALL)
    assert one.held.usd == 0.09
    one.settle_many(holds, [Usage(usd=0, tokens_in=0, tokens_out=0)] * 3)
    assert two.remaining("usd") == pytest.approx(0.064)


def test_refused_in_the_ledger_nothing_is_held_in_the_process(ledger: Ledger) -> None:
    other, mine = ledger.budget("job", "0.02 USD"), ledger.budget("job")
    question = mine.child("q", "0.02 USD")
    hold = other.reserve(CALL)
    with pytest.raises(BudgetExceeded):
        question.reserve(CALL)
    hold.release()
    question.reserve(CALL).settle(CALL)
    assert question.spent.usd == 0.018


def test_other_limits_for_a_known_account_are_refused_until_set(ledger: Ledger) -> None:
    ledger.budget("job", "1 USD")
    ledger.budget("job", "1 USD")
    with pytest.raises(BadInput, match="set_limits"):
        ledger.budget("job", "2 USD")
    ledger.set_limits("job", "2 USD")
    assert ledger.budget("job").limits == {"usd": 2.0}


def test_unmeasured_and_unbounded(ledger: Ledger) -> None:
    job = ledger.budget("job", "100 tokens")
    with pytest.raises(Unbounded, match="tokens"):
        job.reserve(Usage(usd=1))
    line = job.reserve(Usage(tokens_in=10, tokens_out=20)).settle(Usage(tokens_in=9))
    assert line.estimated == ("tokens_out",)
    assert ledger.totals("job").spent.tokens == 29
    assert ledger.totals("job").spent.usd is None
    ledger.set_limits("job", "1 USD")
    with pytest.raises(Unbounded, match="spent unmeasured"):
        job.reserve(CALL)


def test_the_journal_keeps_prediction_price_and_environment(ledger: Ledger) -> None:
    job = ledger.budget("job")
    job.reserve(CALL, "q1", predicted=Usage(usd=0.01), price={"usd": 2.5}).settle(CALL)
    spend = ledger.entries("job")[-1]
    assert (spend.kind, spend.what, spend.price) == ("spend", "q1", {"usd": 2.5})
    assert spend.usage.usd == 0.018
    assert "bursar" in spend.environment
    (line,) = ledger.lines("job")
    assert line.predicted == Usage(usd=0.01)


def test_an_expired_hold_is_charged_at_its_bound_and_corrected_late(
    ledger: Ledger, clock: Clock
) -> None:
    job = ledger.budget("job", "0.10 USD")
    late, lost = job.reserve(CALL, "late"), job.reserve(CALL, "lost")
    clock.now += 59
    assert ledger.recover() == 0
    clock.now += 1
    assert ledger.recover() == 2
    assert ledger.recover() == 0
    assert ledger.totals("job").spent.usd == 0.036
    assert ledger.totals("job").held.usd == 0
    assert [hold.expired for hold in ledger.open_holds()] == [True, True]
    assert {name for line in ledger.lines() for name in line.estimated} >= {"usd", "tokens_in"}
    late.settle(Usage(usd=0.010, tokens_in=5))
    assert ledger.totals("job").spent.usd == 0.028
    assert [line.usage.usd for line in ledger.lines("job")] == [0.010, 0.018]
    lost.release()
    assert ledger.totals("job").spent.usd == 0.010
    assert ledger.open_holds() == []
    ledger.verify()


def test_opening_an_account_recovers_what_crashed_jobs_left(ledger: Ledger, clock: Clock) -> None:
    ledger.reserve("job", [CALL])
    clock.now += 100
    assert ledger.budget("job").spent.usd == 0.018


def test_a_hold_is_settled_once_whoever_settles_it(ledger: Ledger) -> None:
    (hold,) = ledger.reserve("job", [CALL])
    assert ledger.settle({hold: CALL}) == [CALL]
    with pytest.raises(BadInput, match="not open"):
        ledger.settle({hold: CALL})
    assert ledger.totals("job").spent.usd == 0.018


def test_settling_many_is_all_or_none(ledger: Ledger) -> None:
    one, two = ledger.reserve("job", [CALL, CALL])
    with pytest.raises(BadInput, match="not open"):
        ledger.settle({one: CALL, 999: CALL})
    assert ledger.totals("job").spent.usd == 0
    with pytest.raises(BadInput, match="not open"):
        ledger.release([one, one])
    ledger.settle({one: CALL})
    ledger.release([two])
    assert ledger.totals("job").spent.usd == 0.018
    assert ledger.totals("job").held.usd == 0


def test_with_no_measurement_the_bound_is_charged_and_said_to_be_an_estimate(
    ledger: Ledger,
) -> None:
    (hold,) = ledger.reserve("job", [CALL], "lost answer")
    assert ledger.settle({hold: None}) == [CALL]
    (line,) = ledger.lines()
    assert line.estimated == ("tokens_in", "tokens_out", "usd")


def test_what_an_inner_scope_estimates_the_ledger_calls_an_estimate_too(ledger: Ledger) -> None:
    question = ledger.budget("job").child("q", "1 USD")
    line = question.reserve(CALL).settle(Usage(tokens_in=5, tokens_out=5))
    assert line.estimated == ("usd",)
    assert [line.estimated for line in ledger.lines()] == [("usd",)]


def test_more_than_held_is_charged_in_full(ledger: Ledger) -> None:
    job = ledger.budget("job", "0.10 USD")
    job.reserve(CALL).settle(Usage(usd=0.5, tokens_in=1, tokens_out=1))
    assert job.overrun
    assert ledger.totals("job").spent.usd == 0.5
    with pytest.raises(BudgetExceeded):
        job.reserve(Usage(usd=0))
    ledger.verify()


def test_receipts_add_up_to_the_ledger(ledger: Ledger) -> None:
    jobs = [ledger.budget(f"team/job{i}") for i in range(3)]
    for i in range(30):
        used = Usage(tokens_in=i, tokens_out=7 * i, usd=0.1 * i)
        jobs[i % 3].reserve(Usage(tokens_in=99, tokens_out=999, usd=9)).settle(used)
    receipts = [Receipt.of(job) for job in jobs]
    whole = Receipt.from_lines(ledger.lines("team"))
    assert whole.spent == ledger.totals("team").spent
    assert sum(r.spent.tokens or 0 for r in receipts) == whole.spent.tokens == 8 * sum(range(30))
    assert whole.by(2) == {job.path: r.spent for job, r in zip(jobs, receipts, strict=True)}


def test_many_threads_share_one_limit_and_nothing_is_lost(ledger: Ledger) -> None:
    budget = ledger.budget("team/job", "0.5 USD")

    def work(i: int) -> int:
        served = 0
        for _ in range(5):
            try:
                budget.reserve(Usage(usd=0.01), f"{i}").settle(Usage(usd=0.01))
                served += 1
            except BudgetExceeded:
                pass
        return served

    with ThreadPoolExecutor(16) as pool:
        served = sum(pool.map(work, range(16)))
    assert served == 50
    assert ledger.totals("team").spent.usd == 0.5
    ledger.verify()


def test_callers_who_share_a_commit_get_their_own_answers(ledger: Ledger) -> None:
    """While one commit runs, the others queue: they then share the next."""
    ledger.set_limits("rich", "9 USD")
    ledger.set_limits("poor", "0 USD")
    start = threading.Barrier(12)

    def work(i: int) -> str:
        start.wait()
        try:
            ledger.reserve("rich" if i % 2 else "poor", [CALL])
        except BudgetExceeded as error:
            return error.scope
        return "held"

    with ThreadPoolExecutor(12) as pool:
        assert sorted(pool.map(work, range(12))) == ["held"] * 6 + ["poor"] * 6


@pytest.mark.parametrize("account", ["", "/a", "a/", "a//b", "a/ /b", "a\nb", "x" * 501])
def test_bad_account_names(ledger: Ledger, account: str) -> None:
    with pytest.raises(BadInput, match="no account"):
        ledger.reserve(account, [CALL])


def test_odd_text_is_kept_or_cleaned(ledger: Ledger) -> None:
    job = ledger.budget("tëam/100%_x")
    job.reserve(CALL, "nul \0 and half a pair \ud800 and 'quotes'").settle(CALL)
    assert len(ledger.entries("tëam/100%_x")) == 3
    assert ledger.entries("tëam/100") == []
    ledger.verify()


def test_a_batch_larger_than_one_statement_may_be(ledger: Ledger) -> None:
    holds = ledger.reserve("job", [Usage(usd=0.001)] * 2500)
    ledger.settle(dict.fromkeys(holds, Usage(usd=0.001)))
    assert ledger.totals("job").spent.usd == 2.5


class Books(RuleBasedStateMachine):
    """Reserve, settle, release, expire and settle late, in nested accounts, against fractions."""

    holds = Bundle("holds")
    PATHS = ("t", "t/k", "t/k/j", "t/l")

    @initialize(limits=st.lists(st.none() | st.integers(0, 1000), min_size=4, max_size=4))
    def open(self, limits: list[int | None]) -> None:
        self.clock = Clock()
        self.ledger = Ledger(clock=self.clock, ttl_s=10)
        self.limits: dict[str, Fraction] = {}
        self.spent = dict.fromkeys(self.PATHS, Fraction())
        self.held = dict.fromkeys(self.PATHS, Fraction())
        self.state: dict[int, str] = {}
        self.due: dict[int, tuple[float, str, Fraction]] = {}
        for path, limit in zip(self.PATHS, limits, strict=True):
            if limit is not None:
                self.limits[path] = Fraction(limit, 1000)
                self.ledger.set_limits(path, {"usd": limit / 1000})

    def above(self, path: str) -> list[str]:
        return [p for p in self.PATHS if (path + "/").startswith(p + "/")]

    @rule(target=holds, path=st.sampled_from(PATHS), milli=st.integers(0, 400))
    def reserve(self, path: str, milli: int):
        amount = Fraction(milli, 1000)
        tight = [
            p
            for p in self.above(path)
            if p in self.limits and self.spent[p] + self.held[p] + amount > self.limits[p]
        ]
        upper = Usage(usd=float(amount))
        if tight:
            with pytest.raises(BudgetExceeded) as refusal:
                self.ledger.reserve(path, [upper])
            assert refusal.value.scope == tight[0]
            return multiple()
        (number,) = self.ledger.reserve(path, [upper])
        self.state[number] = "open"
        self.due[number] = self.clock.now + 10, path, amount
        self.move(path, held=amount)
        return number

    def move(self, path: str, held: Fraction = Fraction(), spent: Fraction = Fraction()) -> None:
        for above in self.above(path):
            self.held[above] += held
            self.spent[above] += spent

    @rule(number=holds, share=st.integers(0, 8), released=st.booleans())
    def settle(self, number: int, share: int, released: bool) -> None:
        _, path, amount = self.due[number]
        used = Fraction() if released else amount * share / 8

        def close() -> None:
            if released:
                self.ledger.release([number])
            else:
                self.ledger.settle({number: Usage(usd=float(used))})

        if self.state[number] == "closed":
            with pytest.raises(BadInput, match="once"):
                close()
            return
        close()
        if self.state[number] == "open":
            self.move(path, held=-amount, spent=used)
        else:
            self.move(path, spent=used - amount)
        self.state[number] = "closed"

    @rule(seconds=st.integers(1, 12))
    def recover(self, seconds: int) -> None:
        self.clock.now += seconds
        late = [
            n for n, s in self.state.items() if s == "open" and self.due[n][0] <= self.clock.now
        ]
        assert self.ledger.recover() == len(late)
        for number in late:
            _, path, amount = self.due[number]
            self.move(path, held=-amount, spent=amount)
            self.state[number] = "expired"

    @invariant()
    def never_over_and_nothing_lost(self) -> None:
        for path in self.PATHS:
            totals = self.ledger.totals(path)
            assert totals.spent.usd == float(self.spent[path])
            assert totals.held.usd == float(self.held[path])
            if path in self.limits:
                assert self.spent[path] + self.held[path] <= self.limits[path]

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.verify()
            lines = Receipt.from_lines(self.ledger.lines("t"))
            assert lines.spent.usd == float(self.spent["t"])
            self.ledger.close()


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
