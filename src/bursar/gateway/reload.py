"""Hot reload: when the configuration's file changes, models and request settings follow.

A file that can't be read or used changes nothing and is said in the log. Requests under way end
with what they began with.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from bursar.errors import BursarError
from bursar.gateway.config import Config, ModelAt, read_config
from bursar.gateway.counter import Counter
from bursar.gateway.models import Model, open_models
from bursar.gateway.routes import open_routes
from bursar.gateway.upstream.base import Upstream

LOG = logging.getLogger("bursar.gateway")
EVERY_S = 1.0
_FIXED = ("server", "ledger", "access")
"""Sections that are read at the start only."""


async def watch(
    path: Path, counter: Counter, opened: Callable[[ModelAt], Upstream], every_s: float = EVERY_S
) -> None:
    """Reload whenever the file at `path` has changed, until cancelled."""
    seen = _stamp(path)
    while True:
        await asyncio.sleep(every_s)
        now = _stamp(path)
        if now in (seen, None):  # gone for a moment: editors replace files
            continue
        seen = now
        try:
            await reload(read_config(path), counter, opened)
        except BursarError as error:
            LOG.error("configuration not reloaded", extra={"why": str(error)})


async def reload(
    config: Config, counter: Counter, opened: Callable[[ModelAt], Upstream]
) -> list[str]:
    """Serve by `config` from now on; what of it needs a restart. Raises `BadInput`, changing
    nothing."""
    desk, old = counter.desk, counter.config
    kept = {at: desk.models[at.name] for at in old.models if at in config.models}
    fresh = open_models(
        config.model_copy(update={"models": tuple(m for m in config.models if m not in kept)}),
        opened,
    )
    models = {at.name: kept[at] if at in kept else fresh[at.name] for at in config.models}
    routes = open_routes(config.routes, models)
    unused = [model for model in desk.models.values() if model not in models.values()]
    before = {name: getattr(old, name) for name in _FIXED}
    desk.placing.models, desk.placing.settings = models, config.requests
    desk.placing.routes = routes
    counter.config = config.model_copy(update=before)
    fixed = [name for name in _FIXED if getattr(config, name) != before[name]]
    LOG.info("configuration reloaded", extra={"models": list(models), "after_restart": fixed})
    await _close(unused, counter)
    return fixed


async def _close(models: list[Model], counter: Counter) -> None:
    """Close models once all requests that may use them have ended."""
    using = set(counter.live)
    while using & counter.live.keys():
        await asyncio.sleep(0.05)
    for model in models:
        await model.aclose()


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
