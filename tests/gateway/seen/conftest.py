"""Databases for the records of requests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from databases import KINDS, fresh_place


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a fresh database."""
    with fresh_place(request.param, tmp_path) as place:
        yield place
