"""What a worker does again and again beside serving; a failure is logged, the next turn comes."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable

from bursar.errors import BursarError

LOG = logging.getLogger("bursar.gateway")


async def keep_up(
    failing: str, act: Callable[[], object | Awaitable[object]], every_s: float
) -> None:
    """Call `act` every so often until cancelled: a coroutine here, a function in a thread.

    `failing` is what the log says when it raises.
    """
    while True:
        try:
            if inspect.iscoroutinefunction(inspect.unwrap(getattr(act, "func", act))):
                await act()  # type: ignore[misc]
            else:
                await asyncio.to_thread(act)
        except (BursarError, OSError) as error:
            LOG.error("%s: %s", failing, error)
        await asyncio.sleep(every_s)
