"""One finished request: what the log, the metrics, the dashboard and the export are made of.

It holds no prompt, no answer and no key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bursar.usage import Usage


@dataclass(frozen=True, slots=True)
class Record:
    """A request that has ended, however it did. Times in epoch seconds, durations in seconds."""

    request_id: str
    began_at: float
    account: str
    """Account charged: "organisation/team/key[/user]"; empty where the key was refused."""
    key_id: str
    endpoint: str
    """"chat/completions", "completions", "responses", "embeddings"."""
    model: str
    """Model asked for, as asked: a name, "auto", or "strategy:model"."""
    served_by: str
    """"model@upstream" that answered; empty when none did."""
    strategy: str
    status: int
    error: str
    """Code of the error in the reply; empty when there was none."""
    seconds: float
    first_token_s: float | None
    """None where nothing was streamed."""
    queued_s: float
    calls: int
    """Calls to upstreams."""
    spent: Usage
    allowed: Usage
    """What the request was allowed to use: its hold."""
    saved_usd: float | None
    """Against the naive strategy (all that was allowed); None where dollars are not known."""
    estimated: bool
    """Whether a part of `spent` was counted here and not reported by the upstream."""
    streamed: bool
    hold: int
    """Number of the ledger's entry that holds it; 0 when nothing was held."""


OnRecord = Callable[[Record], None]
"""Called once for each finished request, on the event loop: it must be quick and must not raise."""
