"""Workers that share a ledger: who holds what, and what becomes of it when one is killed."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ledgers import CALL, Clock

from bursar.errors import BadInput
from bursar.ledger import Ledger, shelf
from bursar.usage import Usage

ROOT = Path(__file__).parents[2]
PROCESSES, SPENDS = 4, 50

WORKER = """
import asyncio, sys
from bursar.errors import BudgetExceeded
from bursar.ledger import Ledger
from bursar.usage import Usage

place, worker, callers = sys.argv[1], sys.argv[2], int(sys.argv[3])
UPPER = Usage(usd=0.018)

async def once(ledger):
    try:
        hold = await ledger.areserve(f"team/{worker}", UPPER, "once")
    except BudgetExceeded:
        return 0
    await ledger.asettle({hold: UPPER}, durable=True)
    return 1

async def on_and_on(ledger):
    while True:
        try:
            hold = await ledger.areserve(f"busy/{worker}", UPPER, "on and on")
        except BudgetExceeded:
            await asyncio.sleep(0.01)
            continue
        await asyncio.sleep(0.01)
        await ledger.asettle({hold: Usage(usd=0.001)}, durable=True)

async def run():
    with Ledger(place, sync="behind", worker=worker) as ledger:
        print("ready", flush=True)
        sys.stdin.readline()
        print(sum(await asyncio.gather(*(once(ledger) for _ in range(callers)))), flush=True)
        await asyncio.gather(*(on_and_on(ledger) for _ in range(4)))

asyncio.run(run())
"""


@pytest.mark.slow
def test_exactly_five_of_fifty_and_nothing_lost_when_all_are_killed(place: str) -> None:
    if place == ":memory:":
        pytest.skip("one process only")
    chance = random.Random(7)
    with Ledger(place) as ledger:
        ledger.set_limits("team", "0.10 USD, 0.10 USD per rolling 24 h")
        ledger.set_limits("busy", "9 USD per day, 2 USD per rolling 1 s")
        running = [start(place, f"w{i}", len(range(i, SPENDS, PROCESSES))) for i in range(4)]
        try:
            assert [line(worker) for worker in running] == ["ready"] * PROCESSES
            for worker in running:
                assert worker.stdin is not None
                worker.stdin.write("go\n")
                worker.stdin.flush()
            assert sum(int(line(worker)) for worker in running) == 5
            assert ledger.totals("team").spent.usd == pytest.approx(0.09)
            time.sleep(0.5)
            for worker in chance.sample(running, PROCESSES):
                time.sleep(chance.random() * 0.1)
                worker.send_signal(signal.SIGKILL)
        finally:
            for worker in running:
                worker.kill()
                worker.communicate()
        before = ledger.totals("busy")
        left = ledger.open_holds()
        assert before.spent.usd is not None
        assert before.held.usd == pytest.approx(0.018 * len(left))
        ledger.verify()
        charged = [ledger.recover(worker=f"w{i}") for i in range(PROCESSES)]
        after = ledger.totals("busy")
        assert sum(charged) == len(left) > 0
        assert after.held.usd == 0
        assert after.spent.usd == pytest.approx(before.spent.usd + 0.018 * len(left))
        assert after.windows[0].spent <= after.windows[0].limit
        assert ledger.totals("team").spent.usd == pytest.approx(0.09)
        ledger.verify()


def start(place: str, worker: str, callers: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, place, worker, str(callers)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    return worker.stdout.readline().strip()


def test_the_holds_of_a_dead_worker_are_charged_at_once_and_corrected_late(
    place: str, clock: Clock
) -> None:
    if place == ":memory:":
        pytest.skip("one handle only")
    with (
        Ledger(place, clock=clock, worker="w1") as dead,
        Ledger(place, clock=clock, worker="w2") as alive,
    ):
        late, lost = dead.reserve("job", [CALL, CALL])
        (mine,) = alive.reserve("job", [CALL])
        assert [entry.worker for entry in alive.entries()] == ["w1", "w1", "w2"]
        assert alive.recover() == 0
        assert alive.recover(worker="w1") == 2
        assert alive.recover(worker="w1") == 0
        totals = alive.totals("job")
        assert (totals.spent.usd, totals.held.usd) == (0.036, 0.018)
        dead.settle({late: Usage(usd=0.01)})
        alive.settle({mine: CALL})
        assert alive.totals("job").spent.usd == 0.046
        assert [(h.id, h.worker, h.expired) for h in alive.open_holds()] == [(lost, "w1", True)]
        alive.verify()


def test_a_handle_sees_what_another_did_to_its_holds_and_accounts(
    place: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == ":memory:":
        pytest.skip("one handle only")
    monkeypatch.setattr(shelf, "MOST_NEWS", 20)
    with Ledger(place, clock=clock) as one, Ledger(place, clock=clock) as two:
        one.set_limits("team", "1 USD")
        (mine,) = one.reserve("team/a", [CALL])
        two.settle({mine: CALL})
        two.set_limits("team/b", "0.01 USD")
        with pytest.raises(BadInput, match="not open"):
            one.settle({mine: CALL})
        assert one.budget("team/b").limits == {"usd": 0.01}
        for _ in range(shelf.MOST_NEWS):
            two.release(two.reserve("team/b", [Usage(usd=0.001)]))
        (again,) = one.reserve("team/b", [Usage(usd=0.01)])
        one.settle({again: Usage(usd=0.01)})
        assert two.budget("team/b").fits(CALL, 9) == 0
        one.verify()


def test_a_worker_has_a_printable_name() -> None:
    with pytest.raises(BadInput, match="printable"):
        Ledger(worker="w\n1")
