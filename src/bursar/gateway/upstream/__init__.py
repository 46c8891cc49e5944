"""Who answers a call of the gateway, each behind the protocol of `base`.

base.py       what a call, a reply, a stream and a failure are
http.py       one HTTP server: sends, reads, and knows what may have been billed
sse.py        server-sent events, cut anywhere
streaming.py  a stream of chunks from such events
openai.py     any OpenAI-compatible server
anthropic.py  Anthropic's Messages API; anthropic_wire.py has what is sent to it
local.py      a backend in this process, such as the built-in model
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
from bursar.gateway.upstream.local import LocalUpstream, open_local
from bursar.gateway.upstream.openai import OpenAIUpstream

__all__ = [
    "AnthropicUpstream",
    "Attempt",
    "Call",
    "Chunks",
    "LocalUpstream",
    "OpenAIUpstream",
    "Reply",
    "Tokens",
    "Upstream",
    "UpstreamFailed",
    "open_local",
]
