"""Who answers a call of the gateway, each behind the protocol of `base`.

base.py       what a call, a reply, a stream and a failure are
http.py       one HTTP server: sends, reads, and knows what may have been billed
sse.py        server-sent events, cut anywhere
streaming.py  a stream of chunks from such events
openai.py     any OpenAI-compatible server
anthropic.py  Anthropic's Messages API; anthropic_wire.py has what is sent to it
local.py      a backend in this process, such as the built-in model
pool.py       several upstreams of one model: fallback, retries, hedging
places.py     how many calls each of them takes, and who waits
choice.py     which of them a call goes to
breaker.py    which of them is left alone for a while
"""

from bursar.gateway.upstream.anthropic import AnthropicUpstream
from bursar.gateway.upstream.base import (
    Attempt,
    Call,
    Chunks,
    Reply,
    Tokens,
    Upstream,
    UpstreamFailed,
)
from bursar.gateway.upstream.breaker import BreakerSettings
from bursar.gateway.upstream.choice import CHOICES
from bursar.gateway.upstream.local import LocalUpstream, open_local
from bursar.gateway.upstream.openai import OpenAIUpstream
from bursar.gateway.upstream.places import Member
from bursar.gateway.upstream.pool import Hedge, Pool, Retry

__all__ = [
    "CHOICES",
    "AnthropicUpstream",
    "Attempt",
    "BreakerSettings",
    "Call",
    "Chunks",
    "Hedge",
    "LocalUpstream",
    "Member",
    "OpenAIUpstream",
    "Pool",
    "Reply",
    "Retry",
    "Tokens",
    "Upstream",
    "UpstreamFailed",
    "open_local",
]
