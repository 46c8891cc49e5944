"""Processes that share a ledger are killed at random: nothing is lost, no limit is passed.

The full size (8 x 500 holds, 40 kills) is ``python benchmarks/never_over.py``.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bursar.errors import BadInput
from bursar.ledger import Ledger
from bursar.usage import Usage

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_eight_processes_with_random_kills() -> None:
    command = [sys.executable, "benchmarks/never_over.py", "--json"]
    command += ["--holds", "60", "--kills", "12", "--seed", "7"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ran = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200, check=True
    )
    found = json.loads(ran.stdout)["crash"]
    assert found["processes"] == 8
    assert found["served"] + found["refused"] == found["holds"]
    assert found["killed"] >= 4
    assert found["samples"] > 50
    assert found["samples_over_a_limit"] == 0
    assert found["lost_spends"] == 0
    assert found["settled_but_not_exact"] == 0
    assert found["upstream_usd"] <= found["spent_usd"] <= found["limit_usd"]
    assert found["held_usd_after"] == 0


DIE = """
import os, signal, sys
from bursar.ledger import Ledger
from bursar.usage import Usage
ledger = Ledger(sys.argv[1], clock=lambda: 1000.0, ttl_s=60)
budget = ledger.budget("team/job", "1 USD")
budget.reserve(Usage(usd=0.25), "settled").settle(Usage(usd=0.1))
budget.reserve(Usage(usd=0.5), "cut short")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_held_is_charged_when_it_expires(tmp_path: Path) -> None:
    place = str(tmp_path / "ledger.sqlite")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run([sys.executable, "-c", DIE, place], env=environment, timeout=60, check=False)
    with Ledger(place, clock=lambda: 1059.0) as ledger:
        assert ledger.recover() == 0
        assert (ledger.totals("team").spent.usd, ledger.totals("team").held.usd) == (0.1, 0.5)
    with Ledger(place, clock=lambda: 1060.0) as ledger:
        budget = ledger.budget("team/job")
        assert (budget.spent.usd, budget.held.usd) == (0.6, 0)
        assert budget.remaining("usd") == 0.4
        assert [hold.what for hold in ledger.open_holds()] == ["cut short"]
        ledger.verify()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_is_told_to_open_its_own(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        child = os.fork()
        if not child:
            try:
                ledger.reserve("job", [Usage(usd=1)])
                os._exit(1)
            except BadInput as error:
                os._exit(0 if "fork" in str(error) else 2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
