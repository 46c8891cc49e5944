"""Finished requests to be seen."""

from __future__ import annotations

from typing import Any

from bursar.gateway.record import Record
from bursar.usage import Usage

NOON = 1_760_000_400.0 // 86400 * 86400 + 12 * 3600


def record(**changes: Any) -> Record:
    """A request of team acme/blue that went well, with `changes`."""
    usual: dict[str, Any] = {
        "request_id": "req-1",
        "began_at": NOON,
        "account": "acme/blue/ann",
        "key_id": "k1",
        "endpoint": "chat/completions",
        "model": "best_of_n:small",
        "served_by": "small@local",
        "strategy": "best_of_n",
        "status": 200,
        "error": "",
        "seconds": 0.25,
        "first_token_s": 0.05,
        "queued_s": 0.01,
        "calls": 3,
        "spent": Usage(tokens_in=100, tokens_out=50, usd=0.01, seconds=0.25, tool_calls=0),
        "allowed": Usage(tokens_in=100, tokens_out=500, usd=0.03),
        "saved_usd": 0.02,
        "estimated": False,
        "streamed": True,
        "hold": 1,
    }
    return Record(**(usual | changes))
