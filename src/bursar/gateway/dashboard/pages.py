"""Serves the dashboard's files from memory."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'"
)
_KINDS = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


def dashboard_routes() -> list[Route]:
    """Everything under /dashboard; anyone may have it, for it knows nothing by itself."""
    pages = {
        file.name: file.read_bytes()
        for file in files("bursar.gateway.dashboard").joinpath("static").iterdir()
        if file.is_file()
    }
    # One tag for all: a page never runs with another version's modules.
    tag = f'"{sha256(b"".join(pages[name] for name in sorted(pages))).hexdigest()[:20]}"'

    async def page(request: Request) -> Response:
        name = request.path_params.get("name") or "index.html"
        headers = {
            "etag": tag,
            "cache-control": "no-cache",
            "content-security-policy": POLICY,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cross-origin-opener-policy": "same-origin",
        }
        if name not in pages:
            return Response("There is no such page.", 404, headers, "text/plain")
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(pages[name], 200, headers, _KINDS[name.rpartition(".")[2]])

    async def to_page(request: Request) -> Response:
        return RedirectResponse(str(request.url.replace(path="/dashboard/")))

    return [
        Route("/dashboard", to_page),
        Route("/dashboard/", page),
        Route("/dashboard/{name}", page),
    ]
