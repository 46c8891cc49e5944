"""The ledger on an event loop: it does not block, shares commits, and leaks no hold."""

import asyncio
import threading

import pytest
from ledgers import CALL

from bursar.errors import BadInput, BudgetExceeded
from bursar.ledger import Ledger
from bursar.usage import Usage


def test_many_callers_share_one_limit_and_nothing_is_lost(ledger: Ledger) -> None:
    ledger.set_limits("team", "0.5 USD")

    async def call(i: int) -> bool:
        upper = Usage(usd=0.02)
        try:
            hold = await ledger.areserve(f"team/key{i}", upper, "call", predicted=upper)
        except BudgetExceeded:
            return False
        if i % 2:
            await ledger.arelease([hold])
            return False
        assert await ledger.asettle({hold: Usage(usd=0.01)}) == [Usage(usd=0.01)]
        return True

    async def run() -> list[bool]:
        return [served for _ in range(10) for served in await asyncio.gather(*map(call, range(16)))]

    served = sum(asyncio.run(run()))
    totals = ledger.totals("team")
    assert 25 <= served <= 50
    assert totals.spent.usd == pytest.approx(served * 0.01)
    assert totals.held.usd == 0
    ledger.verify()


def test_errors_come_to_their_caller(ledger: Ledger) -> None:
    async def run() -> None:
        with pytest.raises(BadInput, match="no account"):
            await ledger.areserve("", CALL)
        with pytest.raises(BadInput, match="not open"):
            await ledger.asettle({7: CALL})
        with pytest.raises(BadInput, match="not open"):
            await ledger.arelease([7])

    asyncio.run(run())
    assert ledger.entries() == []


class Slow:
    """A ledger's clock that lets the writer go on only when told."""

    def __init__(self) -> None:
        self.reached, self.go = threading.Event(), threading.Event()
        self.go.set()

    def __call__(self) -> float:
        self.reached.set()
        assert self.go.wait(10)
        return 1000.0


@pytest.mark.parametrize("told", ["not yet", "on the way", "but not awake"])
def test_a_reserve_cancelled_while_it_waits_leaves_no_hold(told: str) -> None:
    clock = Slow()

    async def run(ledger: Ledger) -> None:
        clock.go.clear()
        waiting = asyncio.create_task(ledger.areserve("job", CALL))
        await asyncio.to_thread(clock.reached.wait, 10)
        if told != "not yet":
            clock.go.set()
            ledger.recover()  # comes after the reserve, whose answer is then queued in the loop
        if told == "but not awake":
            asyncio.get_running_loop().call_soon(waiting.cancel)
        else:
            waiting.cancel()
        clock.go.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(0)
        await ledger.arelease(await asyncio.gather(ledger.areserve("job", CALL)))

    with Ledger(clock=clock) as ledger:
        asyncio.run(run(ledger))
        assert ledger.open_holds() == []
        assert [e.kind for e in ledger.entries()].count("release") == 2
        assert ledger.totals("job").held.usd == 0


def test_a_settle_goes_through_whoever_is_cancelled() -> None:
    clock = Slow()

    async def run(ledger: Ledger) -> None:
        hold = await ledger.areserve("job", CALL)
        clock.go.clear()
        waiting = ledger.asettle({hold: CALL})
        waiting.cancel()
        clock.go.set()
        await asyncio.sleep(0)

    with Ledger(clock=clock) as ledger:
        asyncio.run(run(ledger))
        assert ledger.recover() == 0
        assert ledger.totals("job").spent.usd == 0.018


def test_a_loop_that_was_closed_leaves_no_hold() -> None:
    clock = Slow()

    async def run(ledger: Ledger) -> None:
        clock.go.clear()
        clock.reached.clear()
        asyncio.get_running_loop().call_later(0.05, lambda: None)
        waiting = asyncio.create_task(ledger.areserve("job", CALL))
        await asyncio.to_thread(clock.reached.wait, 10)
        del waiting

    with Ledger(clock=clock) as ledger:
        asyncio.run(run(ledger))  # cancels what still waits, then closes the loop
        clock.go.set()
        ledger.recover()
        ledger.recover()
        assert ledger.open_holds() == []
