"""Without keys, whoever reaches the port may spend: so only programs of this machine may.

A page in a browser of this machine reaches it too, by its address or by a name that was made to
point here. Browsers say where a page is from (`Origin`) and which name it asked for (`Host`): both
must be this machine's own.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from bursar.gateway.api.http import header, send_failure
from bursar.gateway.errors import failure_of
from bursar.gateway.principal import Denied

_OURS = frozenset({"127.0.0.1", "localhost", "::1", ""})


class LocalOnly:
    """ASGI middleware that refuses requests of other sites' pages."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (why := _foreign(scope)):
            denied = Denied(
                f"{why} is not of this machine, and this gateway asks for no keys; set access.keys "
                'to "required"',
                status=403,
            )
            await send_failure(send, failure_of(denied), "")
            return
        await self._app(scope, receive, send)


def _foreign(scope: Scope) -> str:
    """The name of somebody else's site that a request carries; empty: none."""
    origin, host = header(scope, b"origin"), header(scope, b"host")
    if host and _name(f"//{host}") not in _OURS:
        return f"Host {host[:80]!r}"
    if origin and _name(origin) not in _OURS:
        return f"Origin {origin[:80]!r}"
    return ""


def _name(address: str) -> str:
    try:
        return urlsplit(address).hostname or "?"
    except ValueError:
        return "?"
