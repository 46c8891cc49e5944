"""JSON that can be read but not written again: the parser takes more levels than the writer."""

from __future__ import annotations

from typing import Any

import orjson

_WRITABLE = 250
"""Levels; orjson reads 1024 and writes 254."""


def too_deep(content: bytes, document: Any) -> bool:
    """Whether `document`, read from `content`, has more levels than can be written.

    Nearly always there are too few brackets for that, and counting them costs next to nothing.
    """
    if content.count(b"{") + content.count(b"[") <= _WRITABLE:
        return False
    try:
        orjson.dumps(document)
    except orjson.JSONEncodeError:
        return True
    return False
