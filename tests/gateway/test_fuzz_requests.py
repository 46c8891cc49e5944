"""Malformed bodies, heads and upstream answers; ten thousand: ``benchmarks/gateway_fuzz.py``."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bursar.errors import BadInput
from bursar.gateway.ask import read_body
from bursar.gateway.nesting import too_deep

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("levels", [10, 200, 260, 900])
def test_what_is_read_can_be_written(levels):
    content = b'{"a":' * levels + b"[" + b"1," * 300 + b"1]" + b"}" * levels
    if levels < 250:
        assert read_body(content)
    else:
        with pytest.raises(BadInput, match="nested too deeply"):
            read_body(content)


def test_wide_is_not_deep():
    document = {"a": [{"b": []}] * 1000}
    assert not too_deep(json.dumps(document).encode(), document)


@pytest.mark.slow
def test_no_500_no_hang_no_leak():
    command = [sys.executable, "benchmarks/gateway_fuzz.py", "--json", "--cases", "400"]
    ran = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=250,
    )
    found = json.loads(ran.stdout)
    assert found["wrong"] == {}
    assert found["holds_left_open"] == found["bugs_in_log"] == 0
    served = sum(count for how, count in found["answers"].items() if how.endswith(" 200"))
    assert 20 < served < 300
