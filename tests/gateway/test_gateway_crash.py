"""The gateway's hard claims at a small size; the full one is in ``benchmarks/gateway_*.py``."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def found(script, *more):
    """What a benchmark prints."""
    ran = subprocess.run(
        [sys.executable, f"benchmarks/{script}.py", "--json", *more],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert ran.stdout, ran.stderr[-2000:]
    return json.loads(ran.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["whole", "strategy streamed", "disconnects"])
def test_fifty_at_once_on_a_cap_that_five_fit_in(kind):
    ((_, one),) = found(
        "gateway_never_over", "--place", "sqlite", "--workers", "2", "--kinds", kind
    ).items()
    assert one["wrong"] == []
    assert one.get("served", one.get("left")) == 5
    assert one["HTTP 402"] == 45
    assert 0 < one["upstream_usd"] <= one["ledger_usd"] <= one["cap_usd"]


@pytest.mark.slow
def test_two_thousand_requests_while_everything_goes_wrong():
    run = found(
        *("gateway_soak", "--requests", "2000", "--workers", "2"),
        *("--clients", "24", "--kill-every", "5"),
    )
    assert run["failed"] == []
    assert run["wrong"] == {}
    assert run["killed"] >= 1
    assert run["holds_left_open"] == 0
    assert run["receipt_tokens"] == run["ledger_tokens_of_receipts"] > 50_000
    assert run["receipts_without_estimates"] > 1000
    assert run["upstream_tokens"] <= run["ledger_tokens"]
