"""What the worker processes of one machine tell each other: a small file each, in one folder."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

_STALE_S = 10.0
"""A page this old is of a process that has ended."""


class Workers:
    """This process's page in `folder`, and the pages of the others that share it.

    A page stays when its process ends, so that counts don't fall back. Without a folder there are
    no others.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._pid = os.getpid()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            # A number can be given again: what an earlier process of it counted must not be lost.
            with suppress(FileNotFoundError):
                own = folder / f"{self._pid}.json"
                own.rename(folder / f"{self._pid}-{own.stat().st_mtime_ns}.ended.json")

    def publish(self, page: dict[str, Any]) -> None:
        """Replace this process's page, whole or not at all."""
        if self._folder is not None:
            part = self._folder / f"{self._pid}.part"
            part.write_bytes(orjson.dumps(page))
            part.replace(self._folder / f"{self._pid}.json")

    def others(self) -> list[tuple[bool, dict[str, Any]]]:
        """The others' pages, each with whether its process still publishes."""
        if self._folder is None:
            return []
        found = []
        for file in sorted(self._folder.glob("*.json")):
            if file.name != f"{self._pid}.json":
                with suppress(FileNotFoundError):
                    fresh = time.time() - file.stat().st_mtime < _STALE_S
                    found.append((fresh, orjson.loads(file.read_bytes())))
        return found
