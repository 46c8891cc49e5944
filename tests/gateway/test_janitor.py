"""Holds of dead workers are charged at once on their own host, elsewhere when they expire."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bursar.gateway.janitor import is_dead, keep_sweeping, sweep, worker_name
from bursar.ledger import Ledger
from bursar.usage import Usage

_HOLD = """
import sys
from bursar.gateway.janitor import worker_name
from bursar.ledger import Ledger
from bursar.usage import Usage
ledger = Ledger(sys.argv[1], worker=worker_name())
ledger.reserve("team/key", [Usage(usd=0.02)], "call")
print(worker_name(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "ledger.sqlite")


def test_a_worker_that_is_killed_leaves_nothing_held(place):
    child = subprocess.Popen(
        [sys.executable, "-c", _HOLD, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    worker = child.stdout.readline().decode().strip()
    with child, Ledger(place, worker=worker_name()) as ledger:
        (mine,) = ledger.reserve("team/key", [Usage(usd=0.01)], "call")
        assert sorted([worker, worker_name()]) == ledger.workers()
        assert not is_dead(worker)
        assert sweep(ledger) == {}

        os.kill(child.pid, 9)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, though not yet buried
        assert is_dead(worker)
        assert sweep(ledger) == {worker: 1}
        assert sweep(ledger) == {}

        totals = ledger.totals("team/key")
        assert (totals.spent.usd, totals.held.usd) == (0.02, 0.01)
        assert [hold.id for hold in ledger.open_holds() if not hold.expired] == [mine]


def test_a_process_that_began_later_is_another_worker():
    host, process, began = worker_name().rsplit("/", 2)
    assert not is_dead(worker_name())
    assert is_dead(f"{host}/{process}/{int(began) - 1}")
    assert not is_dead(f"elsewhere/{process}/{int(began) - 1}")
    assert not is_dead("")
    assert not is_dead("anything")


async def test_workers_elsewhere_have_until_their_holds_expire(place, caplog):
    now = [1000.0]
    with Ledger(place, worker="elsewhere/1/1", clock=lambda: now[0], ttl_s=60) as other:
        other.reserve("team", [Usage(usd=0.02)], "call")
        with Ledger(place, worker=worker_name(), clock=lambda: now[0]) as ledger:
            assert sweep(ledger) == {}
            now[0] += 61
            sweeping = asyncio.create_task(keep_sweeping(ledger, 0.01))
            while not caplog.records:
                await asyncio.sleep(0.01)
            sweeping.cancel()
            await asyncio.wait([sweeping])
            assert ledger.totals("team").spent.usd == 0.02
    assert caplog.records[0].holds == 1
