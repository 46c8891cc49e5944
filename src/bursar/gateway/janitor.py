"""The janitor: closes the holds that dead workers left open, at their bound, for it may be spent.

A worker's name in the ledger tells its host, its process, and when that began, so that another
process with the same number is not taken for it. Of workers elsewhere nobody here knows whether
they live: their holds expire. One that was taken for dead and settles after all corrects its holds.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from pathlib import Path

from bursar.errors import BursarError
from bursar.ledger import Ledger

LOG = logging.getLogger("bursar.gateway")
EVERY_S = 2.0


def worker_name() -> str:
    """This process, as "host/process/when it began"."""
    return f"{platform.node()[:100]}/{os.getpid()}/{_began(os.getpid())}"


def is_dead(worker: str) -> bool:
    """Whether `worker` ran on this host and does no more; False of workers of other hosts."""
    host, _, process = worker.rpartition("/")[0].rpartition("/")
    if host != platform.node()[:100] or not process.isdigit():
        return False
    return _began(int(process)) != worker.rpartition("/")[2]


def sweep(ledger: Ledger) -> dict[str, int]:
    """Charge what dead workers and expired holds held: how many holds by worker, "" for expired."""
    found = {dead: ledger.recover(dead) for dead in filter(is_dead, ledger.workers())}
    found[""] = ledger.recover()
    return {worker: holds for worker, holds in found.items() if holds}


async def keep_sweeping(ledger: Ledger, every_s: float = EVERY_S) -> None:
    """`sweep` now and then until cancelled; each finding is a line of the log."""
    while True:
        try:
            for worker, holds in (await asyncio.to_thread(sweep, ledger)).items():
                LOG.warning("holds charged at bound", extra={"worker": worker, "holds": holds})
        except BursarError as error:  # the database is away: it may come back
            LOG.error("holds not swept", extra={"why": str(error)})
        await asyncio.sleep(every_s)


def _began(process: int) -> str:
    """When a process began, in clock ticks of its host; "" when it runs no more."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return "" if Path("/proc/self").exists() else _runs(process)
    except OSError:
        return ""
    state, *_, began = stat.rpartition(")")[2].split()[:20]
    return "" if state in "ZX" else began


def _runs(process: int) -> str:
    """The same where the system does not tell when; "0" for every process that runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass
    return "0"
