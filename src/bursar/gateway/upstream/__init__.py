"""Who answers a call of the gateway, each behind the protocol of `base`.

base.py    what a call, a reply, a stream and a failure are
http.py    one HTTP server: sends, reads, and knows what may have been billed
sse.py     server-sent events, cut anywhere
openai.py  any OpenAI-compatible server
"""

from bursar.gateway.upstream.base import (
    Attempt,
    Call,
    Chunks,
    Reply,
    Tokens,
    Upstream,
    UpstreamFailed,
)
from bursar.gateway.upstream.openai import OpenAIUpstream

__all__ = [
    "Attempt",
    "Call",
    "Chunks",
    "OpenAIUpstream",
    "Reply",
    "Tokens",
    "Upstream",
    "UpstreamFailed",
]
