"""Budget laws: spent + held <= limit in every scope at every instant; nothing is lost."""

import asyncio
import threading
import time
from dataclasses import dataclass, field
from fractions import Fraction

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from bursar.budget import Budget, Hold
from bursar.errors import BadInput, BudgetExceeded, Unbounded
from bursar.ledger import Ledger
from bursar.receipt import Receipt
from bursar.usage import Usage

CALL = Usage(usd=0.018)


def tokens(n: float) -> Usage:
    return Usage(tokens_in=0, tokens_out=n)


def test_reserve_then_settle_frees_what_was_not_used() -> None:
    budget = Budget("100 tokens")
    hold = budget.reserve(tokens(80))
    assert (budget.held.tokens, budget.remaining("tokens")) == (80, 20)
    hold.settle(tokens(30))
    assert (budget.spent.tokens, budget.held.tokens, budget.remaining("tokens")) == (30, 0, 70)


def test_release_gives_all_back() -> None:
    budget = Budget("100 tokens")
    budget.reserve(tokens(80)).release()
    assert budget.remaining("tokens") == 100
    assert budget.lines == ()


def test_a_spend_charges_every_ancestor_and_no_sibling() -> None:
    team = Budget("100 tokens", name="team")
    key = team.child("key")
    job, other = key.child("job", "50 tokens"), key.child("other")
    job.reserve(tokens(40)).settle(tokens(40))
    assert [b.spent.tokens for b in (team, key, job, other)] == [40, 40, 40, 0]
    assert other.remaining("tokens") == 60
    assert job.path == "team/key/job"


def test_the_outermost_limit_speaks_first() -> None:
    team = Budget("10 tokens", name="team")
    job = team.child("job", "10 tokens")
    with pytest.raises(BudgetExceeded) as error:
        job.reserve(tokens(11))
    said = error.value
    assert (said.scope, said.resource, said.limit, said.committed, said.asked) == (
        "team",
        "tokens",
        10,
        0,
        11,
    )


def test_a_refusal_leaves_nothing_behind() -> None:
    team = Budget("100 tokens", name="team")
    job = team.child("job", "10 tokens")
    with pytest.raises(BudgetExceeded, match="team/job"):
        job.reserve(tokens(11))
    assert team.held.tokens == job.held.tokens == 0


def test_what_cannot_be_bounded_is_not_started() -> None:
    with pytest.raises(Unbounded, match="usd"):
        Budget("1 USD").reserve(Usage(tokens_in=3))


def test_an_unlimited_resource_may_be_unknown_and_then_stays_unknown() -> None:
    budget = Budget("100 tokens")
    hold = budget.reserve(tokens(5))
    assert budget.held.usd is None
    hold.settle(tokens(5))
    assert budget.spent.usd is None
    assert budget.held.usd == 0


def test_unmeasured_is_charged_at_the_bound_and_said_to_be_estimated() -> None:
    budget = Budget("1 USD")
    line = budget.reserve(Usage(usd=0.4, tokens_in=7)).settle(Usage(tokens_in=6))
    assert line.usage.usd == 0.4
    assert line.usage.tokens_in == 6
    assert line.estimated == ("usd",)


def test_tokens_limited_means_both_parts_are_estimated_when_unmeasured() -> None:
    budget = Budget("100 tokens")
    line = budget.reserve(Usage(tokens_in=10, tokens_out=20)).settle(Usage(tokens_in=9))
    assert budget.spent.tokens == 29
    assert line.estimated == ("tokens_out",)


def test_an_upstream_that_used_more_than_it_said_is_charged_in_full_then_refused() -> None:
    budget = Budget("100 tokens")
    budget.reserve(tokens(90)).settle(tokens(150))
    assert budget.spent.tokens == 150
    assert budget.overrun
    assert budget.remaining("tokens") == -50
    with pytest.raises(BudgetExceeded):
        budget.reserve(tokens(0))
    assert budget.fits(tokens(1), 9) == 0


def test_more_than_held_within_the_limit_is_no_overrun() -> None:
    budget = Budget("100 tokens")
    budget.reserve(tokens(10)).settle(tokens(12))
    assert not budget.overrun
    assert budget.remaining("tokens") == 88


@pytest.mark.parametrize("first", ["settle", "release"])
@pytest.mark.parametrize("second", ["settle", "release"])
def test_a_hold_is_closed_once(first: str, second: str) -> None:
    budget = Budget("10 tokens")
    hold = budget.reserve(tokens(5))

    def close(how: str) -> None:
        hold.settle(tokens(1)) if how == "settle" else hold.release()

    close(first)
    with pytest.raises(BadInput, match="once"):
        close(second)
    assert budget.spent.tokens == (1 if first == "settle" else 0)


def test_a_bad_measurement_keeps_its_hold() -> None:
    budget = Budget("10 tokens")
    hold = budget.reserve(tokens(5))
    with pytest.raises(BadInput, match="tokens_out"):
        hold.settle(tokens(-3))
    assert budget.held.tokens == 5
    hold.settle(tokens(2))
    assert budget.spent.tokens == 2


def test_left_by_an_exception_a_hold_is_charged_not_forgotten() -> None:
    budget = Budget("10 tokens")
    with pytest.raises(ValueError, match="broke"), budget.reserve(tokens(5)):
        raise ValueError("broke")
    assert budget.spent.tokens == 5
    assert budget.lines[0].estimated == ("tokens_in", "tokens_out")


def test_with_no_measurement_the_whole_bound_is_charged() -> None:
    budget = Budget("10 tokens")
    line = budget.reserve(Usage(tokens_in=1, tokens_out=2, usd=0.5)).settle()
    assert (budget.spent.tokens, budget.spent.usd, budget.spent.seconds) == (3, 0.5, None)
    assert line.estimated == ("tokens_in", "tokens_out", "usd")


def test_settling_many_is_all_or_none() -> None:
    budget = Budget("10 tokens")
    one, two = budget.reserve_many([tokens(2)] * 2)
    for holds in ([one, one], [one, Budget().reserve(tokens(1))]):
        with pytest.raises(BadInput, match=r"once|another"):
            budget.settle_many(holds, [tokens(1)] * 2)
    assert [line.usage.tokens for line in budget.settle_many([one, two], [tokens(1), None])] == [
        1,
        2,
    ]
    assert (budget.spent.tokens, budget.held.tokens) == (3, 0)


def test_how_many_fit_and_as_many_as_fit() -> None:
    budget = Budget("0.10 USD")
    assert budget.fits(CALL, 50) == 5
    assert budget.fits(CALL, 3) == 3
    assert budget.fits(Usage(usd=0), 50) == 50
    holds = budget.reserve_many([CALL] * 50)
    assert len(holds) == 5
    assert budget.reserve_many([CALL]) == []
    budget.settle_many(holds, [CALL] * 5)
    assert budget.spent.usd == 0.09


def test_holds_are_settled_in_their_own_tree() -> None:
    one, other = Budget("10 tokens"), Budget("10 tokens")
    with pytest.raises(BadInput, match="another budget"):
        one.settle_many([other.reserve(tokens(1))], [tokens(1)])


def test_floats_that_drift_do_not_refuse_what_fits() -> None:
    budget = Budget("0.3 USD")
    budget.reserve(Usage(usd=0.1)).settle(Usage(usd=0.1))
    budget.reserve(Usage(usd=0.2)).settle(Usage(usd=0.2))
    assert budget.remaining("usd") == 0


@pytest.mark.parametrize(
    "limits", ["", "5 parsecs", {"euros": 1.0}, {"usd": -1.0}, {"usd": float("nan")}]
)
def test_bad_limits_are_named(limits: object) -> None:
    with pytest.raises(BadInput):
        Budget(limits)  # type: ignore[arg-type]


def test_asking_for_a_resource_that_is_none_is_bad_input() -> None:
    with pytest.raises(BadInput, match="euros"):
        Budget().remaining("euros")


def served_by_threads(budget: Budget) -> tuple[int, list[BudgetExceeded]]:
    served, refused, lock = [], [], threading.Lock()

    def call() -> None:
        try:
            hold = budget.reserve(CALL)
        except BudgetExceeded as error:
            with lock:
                refused.append(error)
            return
        time.sleep(0.5)  # the upstream
        hold.settle(CALL)
        with lock:
            served.append(1)

    threads = [threading.Thread(target=call) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(served), refused


def served_by_tasks(budget: Budget) -> tuple[int, list[BudgetExceeded]]:
    async def call() -> BudgetExceeded | None:
        try:
            hold = budget.reserve(CALL)
        except BudgetExceeded as error:
            return error
        await asyncio.sleep(0.5)
        hold.settle(CALL)
        return None

    async def run() -> list[BudgetExceeded | None]:
        return await asyncio.gather(*(call() for _ in range(50)))

    outcomes = asyncio.run(run())
    return outcomes.count(None), [error for error in outcomes if error]


@pytest.mark.parametrize("serve", [served_by_threads, served_by_tasks])
@pytest.mark.parametrize("durable", [False, True])
def test_fifty_at_once_where_five_fit(serve, durable: bool, tmp_path) -> None:
    """The case in which a proxy that checks before and charges after spent nine times its limit."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        budget = ledger.budget("key", "0.10 USD") if durable else Budget("0.10 USD", name="key")
        served, refused = serve(budget)
        assert (served, len(refused)) == (5, 45)
        assert budget.spent.usd == 0.09
        assert all("key: 0.018 usd asked with 0.09 of 0.1 spent or held" in str(e) for e in refused)


def test_receipt_adds_up_and_names_estimates() -> None:
    budget = Budget("1k tokens, 1 USD", name="job")
    for name, spent in (("q1", 0.1), ("q2", 0.2), ("q1", 0.3)):
        hold = budget.child(name).reserve(
            Usage(tokens_in=10, tokens_out=10, usd=0.3), "sample", predicted=Usage(usd=0.2)
        )
        hold.settle(Usage(tokens_in=10, usd=spent))
    receipt = Receipt.of(budget)
    assert receipt.spent == budget.spent
    assert receipt.spent.usd == 0.6
    assert receipt.estimated == ("tokens_out",)
    assert receipt.predicted is not None
    assert receipt.predicted.usd == 0.6
    assert receipt.predicted.tokens_in is None
    assert {path: usage.usd for path, usage in receipt.by(2).items()} == {
        "job/q1": 0.4,
        "job/q2": 0.2,
    }
    assert receipt.unspent["tokens"] == 940
    assert str(receipt) == (
        "spent 60 tokens of 1k tokens, 0.6 USD of 1.00 USD in 3 calls (tokens_out partly estimated)"
    )
    assert receipt.to_dict()["calls"] == 3


@dataclass
class Model:
    """What a scope should hold, in fractions: dollars are thousandths, so floats must not drift."""

    budget: Budget
    parents: list["Model"]
    limit: dict[str, Fraction]
    spent: dict[str, Fraction] = field(
        default_factory=lambda: {"usd": Fraction(), "tokens": Fraction()}
    )
    held: dict[str, Fraction] = field(
        default_factory=lambda: {"usd": Fraction(), "tokens": Fraction()}
    )

    def room(self, resource: str) -> Fraction:
        return self.limit[resource] - self.spent[resource] - self.held[resource]


def usage_of(amount: dict[str, Fraction]) -> Usage:
    return Usage(tokens_in=1, tokens_out=float(amount["tokens"]) - 1, usd=float(amount["usd"]))


AMOUNT = st.fixed_dictionaries(
    {
        "usd": st.integers(0, 300).map(lambda n: Fraction(n, 1000)),
        "tokens": st.integers(1, 300).map(Fraction),
    }
)
LIMIT = st.fixed_dictionaries(
    {},
    optional={
        "usd": st.integers(0, 1000).map(lambda n: Fraction(n, 1000)),
        "tokens": st.integers(0, 1000).map(Fraction),
    },
)


class Spending(RuleBasedStateMachine):
    """Reserve, settle, release in nested scopes, against exact fractions."""

    scopes = Bundle("scopes")
    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.models: list[Model] = []

    @initialize(target=scopes, limit=LIMIT)
    def root(self, limit: dict[str, Fraction]) -> Model:
        return self.add(Model(Budget({r: float(a) for r, a in limit.items()}), [], limit))

    @rule(target=scopes, parent=scopes, limit=LIMIT)
    def child(self, parent: Model, limit: dict[str, Fraction]) -> Model:
        scope = parent.budget.child("x", {r: float(a) for r, a in limit.items()})
        return self.add(Model(scope, [*parent.parents, parent], limit))

    def add(self, model: Model) -> Model:
        self.models.append(model)
        return model

    @rule(target=holds, scope=scopes, bound=AMOUNT)
    def reserve(self, scope: Model, bound: dict[str, Fraction]):
        chain = [*scope.parents, scope]
        tight = [m for m in chain for r in m.limit if m.room(r) < bound[r]]
        if tight:
            with pytest.raises(BudgetExceeded) as refusal:
                scope.budget.reserve(usage_of(bound))
            assert refusal.value.scope == tight[0].budget.path
            return multiple()
        hold = scope.budget.reserve(usage_of(bound))
        for model in chain:
            for r in bound:
                model.held[r] += bound[r]
        return chain, hold, bound

    @rule(hold=holds, share=st.integers(0, 100))
    def settle(self, hold: tuple[list[Model], Hold, dict[str, Fraction]], share: int) -> None:
        chain, real, bound = hold
        if real.state != "open":
            with pytest.raises(BadInput):
                real.settle(Usage())
            return
        used = {
            "usd": bound["usd"] * share / 100,
            "tokens": max(Fraction(1), bound["tokens"] * share // 100),
        }
        real.settle(usage_of(used))
        for model in chain:
            for r in bound:
                model.held[r] -= bound[r]
                model.spent[r] += used[r]

    @rule(hold=holds)
    def release(self, hold: tuple[list[Model], Hold, dict[str, Fraction]]) -> None:
        chain, real, bound = hold
        if real.state != "open":
            return
        real.release()
        for model in chain:
            for r in bound:
                model.held[r] -= bound[r]

    @invariant()
    def never_over_and_nothing_lost(self) -> None:
        for model in self.models:
            for r in ("usd", "tokens"):
                assert model.budget.spent.get(r) == float(model.spent[r])
                assert model.budget.held.get(r) == float(model.held[r])
                if r in model.limit:
                    assert model.spent[r] + model.held[r] <= model.limit[r]
            assert Receipt.of(model.budget).spent == model.budget.spent


TestSpending = Spending.TestCase
TestSpending.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
