"""The event loop that a job's models live on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bursar.backends.base import Backend


@contextmanager
def running(models: Mapping[str, Backend]) -> Iterator[asyncio.Runner]:
    """A loop for `models`, which are closed at its end."""
    with asyncio.Runner() as runner:
        try:
            yield runner
        finally:
            runner.run(_close(models))


async def _close(models: Mapping[str, Backend]) -> None:
    for model in models.values():
        await model.aclose()
