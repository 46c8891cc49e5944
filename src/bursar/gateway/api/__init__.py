"""OpenAI's endpoints, each an ASGI application.

http.py   bodies in, JSON and events out, and noticing that a client has left
calls.py  chat/completions, completions, embeddings
"""

from bursar.gateway.api.calls import Calls

__all__ = ["Calls"]
