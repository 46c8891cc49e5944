"""Backends by name."""

import subprocess
import sys

import pytest

from bursar.backends import BACKENDS, open_backend
from bursar.errors import BadInput


@pytest.mark.parametrize("spec", ["gpt", "", "huge-9b", "openai", "replay"])
def test_an_unknown_name_lists_what_there_is(spec):
    with pytest.raises(BadInput, match="unknown model") as refused:
        open_backend(spec)
    assert all(written in str(refused.value) for written, _ in BACKENDS.values())


def test_nothing_heavy_is_imported_before_it_is_asked_for():
    code = (
        "import sys, bursar.backends; "
        "print([m for m in ('torch', 'transformers', 'httpx', 'scipy') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_without_torch_the_transformers_backend_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "bursar.backends.transformers", raising=False)
    with pytest.raises(BadInput, match=r"pip install 'bursar\[torch\]'"):
        open_backend("transformers:any")
