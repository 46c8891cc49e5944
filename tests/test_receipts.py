"""Receipts: sum of receipts = ledger = what a counting mock server saw, to the token."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bursar.backends import Backend, Completion, Request
from bursar.backends.base import spent_by
from bursar.backends.mock_server import TEMPLATE_TOKENS, Fault, MockServer
from bursar.backends.openai import OpenAIBackend
from bursar.backends.sender import Patience
from bursar.backends.token_price import TokenPrice
from bursar.budget import Budget, Hold
from bursar.errors import BackendError, BudgetExceeded
from bursar.ledger import Ledger
from bursar.reason.purse import Call, Purse
from bursar.receipt import Receipt
from bursar.usage import Usage

PRICE = TokenPrice(usd_per_mtok_in=3.0, usd_per_mtok_out=15.0)
QUICK = Patience(tries=30, backoff_s=0.001, backoff_cap_s=0.01)
IMPATIENT = replace(QUICK, tries=4, try_s=1.5)
LONG = "a reply that is longer than any limit on new tokens that is asked for here"


async def buy(budget: Budget, backend: Backend, request: Request) -> Completion | BackendError:
    """Reserve, complete, settle: one call the way a purse makes it."""
    hold: Hold = budget.reserve(backend.upper_bound(request), what=backend.name)
    try:
        (done,) = await backend.complete([request])
    except BackendError as failed:
        hold.settle(hold.upper if failed.usage is None else failed.usage)
        return failed
    except BaseException as ended:
        hold.settle(spent_by(ended) or hold.upper)
        raise
    hold.settle(done.usage)
    return done


def requests(count: int) -> list[Request]:
    return [
        Request(f"question number {i} ?", 12 + i % 5, question_id=f"q{i}") for i in range(count)
    ]


def client(server: MockServer, **options: object) -> OpenAIBackend:
    settings = {
        "price": PRICE,
        "template_tokens": TEMPLATE_TOKENS,
        "patience": QUICK,
        "concurrency": 8,
        "bills_errors": True,  # as the mock does when it fails after generating
    }
    return OpenAIBackend("mock", server.base_url, **{**settings, **options})


async def buy_all(
    ledger: Ledger, server: MockServer, asked: Sequence[Request], **options: object
) -> tuple[Budget, list[Completion | BackendError]]:
    budget = ledger.budget("job", "1M tokens, 10 USD")
    async with client(server, **options) as backend:
        outcomes = await asyncio.gather(
            *(buy(budget.child(r.question_id), backend, r) for r in asked)
        )
    return budget, outcomes


def books(ledger: Ledger, budget: Budget) -> Usage:
    """What was spent, after proving that receipt, budget and ledger say the same."""
    receipt = Receipt.of(budget)
    assert receipt.spent.known() == budget.spent.known() == ledger.totals("job").spent.known()
    assert receipt.spent.usd == pytest.approx(PRICE.usd(*tokens(receipt.spent)), abs=1e-9)
    assert ledger.open_holds() == []
    ledger.verify()
    return receipt.spent


def tokens(usage: Usage) -> tuple[float, float]:
    assert usage.tokens_in is not None
    assert usage.tokens_out is not None
    return usage.tokens_in, usage.tokens_out


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.db") as ledger:
        yield ledger


async def test_when_all_goes_well(ledger):
    with MockServer() as server:
        budget, outcomes = await buy_all(ledger, server, requests(40))
    assert all(isinstance(o, Completion) and not o.estimated for o in outcomes)
    assert tokens(books(ledger, budget)) == tokens(server.spent)


REFUSALS = ("429", "503", "500", "401")
FAULTS = ("ok", "429", "503", "no usage", "lies", "500 after", "cut", "garbage", "hang", "ok")


async def test_refusals_and_retries_cost_what_the_server_generated(ledger):
    kinds = ("429", "ok", "503", "500", "ok")
    with MockServer(fault=lambda n: Fault(kinds[n % 5], retry_after="0")) as server:
        budget, outcomes = await buy_all(ledger, server, requests(30), bills_errors=False)
    assert all(isinstance(o, Completion) for o in outcomes)
    assert len(server.seen) > 30
    assert tokens(books(ledger, budget)) == tokens(server.spent)


async def test_every_fault_at_once_to_the_token_when_replies_run_to_their_limit(ledger):
    """The bound is then what a failed call cost, so estimates are exact too."""

    def fault(n: int) -> Fault:
        return Fault(FAULTS[n % len(FAULTS)], retry_after="0", usage=(1000 + n, 50 + n))

    with MockServer(fault=fault, reply=lambda prompt, seed: LONG) as server:
        budget, outcomes = await buy_all(ledger, server, requests(40), patience=IMPATIENT)
    assert any(isinstance(o, BackendError) and o.estimated for o in outcomes)
    assert {s.fault.kind for s in server.seen} == set(FAULTS)
    assert tokens(books(ledger, budget)) == tokens(server.spent)


async def test_a_purse_keeps_the_same_books(ledger):
    budget = ledger.budget("job", "4k tokens, 10 USD")
    kinds = ("ok", "429", "cut", "ok", "500 after", "503", "no usage")
    with MockServer(
        fault=lambda n: Fault(kinds[n % len(kinds)]), reply=lambda prompt, seed: LONG
    ) as server:
        async with client(server) as backend:
            purse = Purse(budget, {"mock": backend})
            outcomes = await purse.complete([Call("mock", r) for r in requests(200)])
    assert outcomes[-1] is None  # the limit was reached
    spent = books(ledger, budget)
    assert tokens(spent) == tokens(server.spent)
    assert 3900 < spent.tokens <= 4000


async def test_replies_that_end_early_leave_only_estimates_above_what_the_server_saw(ledger):
    """Delivered calls agree to the token; a lost reply is charged its bound, never less."""

    def fault(n: int) -> Fault:
        return Fault(FAULTS[n % len(FAULTS)], retry_after="0", usage=(1000 + n, 50 + n))

    with MockServer(fault=fault) as server:
        budget, outcomes = await buy_all(ledger, server, requests(40), patience=IMPATIENT)
    spent = books(ledger, budget)
    lost = ("500 after", "cut", "garbage", "hang")
    delivered = [s for s in server.seen if s.fault.kind not in lost]
    done = [o.usage for o in outcomes if isinstance(o, Completion)]
    assert sum(u.tokens_in for u in done) == sum(s.tokens_in for s in delivered)
    assert sum(u.tokens_out for u in done) == sum(s.tokens_out for s in delivered)
    assert spent.tokens_in == server.spent.tokens_in  # a prompt's count is exact either way
    assert spent.tokens_out > server.spent.tokens_out


async def test_a_lie_past_the_limit_is_charged_in_full_and_stops_the_spending(ledger):
    first, second = requests(2)
    budget = ledger.budget("job", "500 tokens")
    with MockServer(fault=lambda n: Fault("lies", usage=(400, 300))) as server:
        async with client(server) as backend:
            await buy(budget, backend, first)
            with pytest.raises(BudgetExceeded):
                await buy(budget, backend, second)
    assert budget.overrun
    assert tokens(books(ledger, budget)) == tokens(server.spent) == (400, 300)


async def test_cancelled_calls(ledger):
    """One was answered, three are at the server, and the rest never left."""
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def fault(n: int) -> Fault:
        if n == 3:
            loop.call_soon_threadsafe(begun.set)
        return Fault("ok" if n == 0 else "hang")

    budget = ledger.budget("job", "1M tokens, 10 USD")
    with MockServer(fault=fault, reply=lambda prompt, seed: LONG) as server:
        async with client(server, concurrency=3) as backend:
            first, *others = requests(10)
            await buy(budget, backend, first)
            calls = [asyncio.create_task(buy(budget, backend, r)) for r in others]
            await asyncio.wait_for(begun.wait(), 10)
            for call in calls:
                call.cancel()
            ended = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(e, asyncio.CancelledError) for e in ended)
    assert len(server.seen) == 4
    assert tokens(books(ledger, budget)) == tokens(server.spent)


async def test_a_cancelled_batch_charges_each_request_by_where_it_was():
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def fault(n: int) -> Fault:
        if n == 2:
            loop.call_soon_threadsafe(begun.set)
        return Fault("ok" if n < 2 else "hang")

    asked = requests(10)
    with MockServer(fault=fault, reply=lambda prompt, seed: LONG) as server:
        async with client(server, concurrency=1) as backend:
            spent = None

            async def until_cancelled() -> None:
                nonlocal spent
                try:
                    await backend.complete(asked)
                except asyncio.CancelledError as cancelled:
                    spent = spent_by(cancelled)
                    raise

            task = asyncio.create_task(until_cancelled())
            await asyncio.wait_for(begun.wait(), 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    assert len(server.seen) == 3
    assert tokens(spent) == tokens(server.spent)


async def test_a_server_that_is_not_there_costs_nothing(ledger):
    with MockServer() as server:
        pass
    nowhere = replace(QUICK, tries=2)
    budget = ledger.budget("job", "1M tokens, 10 USD")
    async with OpenAIBackend(
        "mock", "http://127.0.0.1:9/v1", price=PRICE, patience=nowhere
    ) as backend:
        outcome = await buy(budget, backend, requests(1)[0])
    assert isinstance(outcome, BackendError)
    assert not outcome.estimated
    assert "is the server running" in str(outcome)
    assert tokens(books(ledger, budget)) == (0, 0)
    assert server.seen == []


@pytest.mark.parametrize("kind", REFUSALS)
async def test_a_server_that_only_refuses(ledger, kind):
    with MockServer(fault=lambda n: Fault(kind)) as server:
        budget, outcomes = await buy_all(
            ledger, server, requests(4), bills_errors=False, patience=IMPATIENT
        )
    assert all(isinstance(o, BackendError) and o.exit_code == 3 for o in outcomes)
    assert tokens(books(ledger, budget)) == tokens(server.spent) == (0, 0)
