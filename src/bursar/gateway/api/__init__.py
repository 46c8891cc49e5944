"""OpenAI's endpoints, each an ASGI application.

http.py       bodies in, JSON and events out, and noticing that a client has left
calls.py      a POST endpoint; chat/completions, completions, embeddings as upstreams speak them
responses.py  responses, a dialect of chats
"""

from bursar.gateway.api.calls import Calls, Plain
from bursar.gateway.api.responses import Responses

__all__ = ["Calls", "Plain", "Responses"]
