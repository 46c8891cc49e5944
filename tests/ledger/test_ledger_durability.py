"""Commits that do not wait for the disk, and those who do wait for it."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from ledgers import CALL

from bursar.errors import BadInput
from bursar.ledger import Ledger, disk
from bursar.usage import Usage

ROOT = Path(__file__).parents[2]
Put = Callable[[int], None]


class Disk:
    """Counts fsyncs of the log, and lets them through only when told."""

    def __init__(self) -> None:
        self.count, self.go = 0, threading.Event()
        self.go.set()
        self.before: Callable[[], None] = lambda: None
        self.fails = False

    def __call__(self, log: int) -> None:
        self.before()
        assert self.go.wait(10)
        self.count += 1
        if self.fails:
            raise OSError(5, "Input/output error")
        os.fsync(log)


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    hooked = Disk()
    monkeypatch.setattr(disk, "_put_on_disk", hooked)
    monkeypatch.setattr(disk, "IDLE_S", 60.0)
    return hooked


def test_only_who_asks_waits_for_the_disk_and_all_who_do_share_one_fsync(
    tmp_path: Path, slow_disk: Disk
) -> None:
    async def run(ledger: Ledger) -> None:
        holds = [await ledger.areserve("job", CALL) for _ in range(9)]
        await ledger.asettle({holds.pop(): CALL})
        assert slow_disk.count == 0
        slow_disk.go.clear()
        first = ledger.asettle({holds.pop(): CALL}, durable=True)
        while ledger.totals("job").spent.usd != 0.036:
            await asyncio.sleep(0.001)
        waiting = [ledger.asettle({hold: CALL}, durable=True) for hold in holds]
        while ledger.totals("job").held.usd:
            await asyncio.sleep(0.001)
        assert await ledger.areserve("job", CALL)
        synced = ledger.synced()
        assert not synced.done()
        assert not any(future.done() for future in (first, *waiting))
        slow_disk.go.set()
        assert await asyncio.gather(first, *waiting) == [[CALL]] * 8
        await synced
        assert slow_disk.count == 2
        await ledger.synced()
        assert slow_disk.count == 2

    with Ledger(tmp_path / "ledger.sqlite", sync="behind") as ledger:
        asyncio.run(run(ledger))
    assert slow_disk.count == 2


@pytest.mark.slow
def test_what_is_told_durable_is_in_the_files_as_they_were_at_an_fsync(
    tmp_path: Path, slow_disk: Disk
) -> None:
    """Also when the log was moved into the database and begun anew meanwhile."""
    path, copy = tmp_path / "ledger.sqlite", tmp_path / "copy.sqlite"
    sizes: list[int] = []

    def keep() -> None:
        sizes.append(path.stat().st_size)
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", f"{copy}{end}")

    slow_disk.before = keep

    async def run(ledger: Ledger) -> None:
        for i in range(1, 241):
            hold = await ledger.areserve("team/key/job", CALL, "x" * 1900)
            await ledger.asettle({hold: CALL}, durable=True)
            if i % 57 == 0:
                with Ledger(copy, create=False) as found:
                    assert found.totals("team").spent.usd == pytest.approx(0.018 * i)
                    found.verify()

    with Ledger(path, sync="behind") as ledger:
        asyncio.run(run(ledger))
    assert len(set(sizes)) > 2


def test_a_disk_that_fails_is_told_to_all_who_wait_from_then_on(
    tmp_path: Path, slow_disk: Disk
) -> None:
    async def run(ledger: Ledger) -> None:
        one, two = [await ledger.areserve("job", CALL) for _ in range(2)]
        slow_disk.fails = True
        with pytest.raises(BadInput, match=r"can't be put on disk: Input/output error"):
            await ledger.asettle({one: CALL}, durable=True)
        slow_disk.fails = False
        await ledger.asettle({two: CALL})
        with pytest.raises(BadInput, match="open the ledger again"):
            await ledger.synced()

    with Ledger(tmp_path / "ledger.sqlite", sync="behind") as ledger:
        asyncio.run(run(ledger))
        assert ledger.totals("job").spent.usd == 0.036


def test_what_nobody_waits_for_is_on_disk_soon(
    tmp_path: Path, slow_disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "IDLE_S", 0.01)
    synced = threading.Event()
    slow_disk.before = synced.set
    with Ledger(tmp_path / "ledger.sqlite", sync="behind") as ledger:
        ledger.reserve("job", [CALL])
        assert synced.wait(10)


def test_where_commits_wait_for_the_disk_nobody_else_does(place: str) -> None:
    async def run(ledger: Ledger) -> None:
        hold = await ledger.areserve("job", CALL)
        await ledger.asettle({hold: CALL}, durable=True)
        await ledger.synced()

    with Ledger(place, sync="commit" if place.endswith("sqlite") else "behind") as ledger:
        asyncio.run(run(ledger))
        assert ledger.totals("job").spent.usd == 0.018
    assert not [thread for thread in threading.enumerate() if "disk" in thread.name]


def test_a_closed_ledger_says_so_on_a_loop_too(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite", sync="behind")
    ledger.close()

    async def run() -> None:
        with pytest.raises(BadInput, match="closed"):
            await ledger.synced()
        with pytest.raises(BadInput, match="closed"):
            await ledger.areserve("job", CALL)

    asyncio.run(run())


DIE = """
import os, signal, sys
from bursar.ledger import Ledger
from bursar.usage import Usage
ledger = Ledger(sys.argv[1], sync="behind")
budget = ledger.budget("team/job", "1 USD")
budget.reserve(Usage(usd=0.25), "settled").settle(Usage(usd=0.1))
budget.reserve(Usage(usd=0.5), "cut short")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_is_not_on_disk_yet_survives_the_end_of_its_process(tmp_path: Path) -> None:
    place = str(tmp_path / "ledger.sqlite")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", DIE, place]
    ended = subprocess.run(command, env=environment, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    with Ledger(place) as ledger:
        totals = ledger.totals("team")
        assert (totals.spent, totals.held.usd) == (Usage(usd=0.1), 0.5)
        ledger.verify()
