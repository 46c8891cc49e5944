"""The gateway as an ASGI application: routes, and what lives as long as the process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from bursar.errors import BadInput, BursarError
from bursar.gateway.api import Calls, Plain, Responses
from bursar.gateway.api.http import bearer
from bursar.gateway.config import Config
from bursar.gateway.counter import LOG
from bursar.gateway.dashboard.pages import dashboard_routes
from bursar.gateway.errors import Failure, failure_of
from bursar.gateway.local_only import LocalOnly
from bursar.gateway.models import Model
from bursar.gateway.openapi import show_openapi
from bursar.gateway.opening import Gateway
from bursar.gateway.principal import Denied, Principal
from bursar.gateway.seen.views import Views
from bursar.gateway.tenants.actor import Actor
from bursar.gateway.tenants.admin import routes as admin_routes
from bursar.gateway.upstream.base import Path as ApiPath

_DATABASE_S = 45.0
"""How long a worker that starts waits for its database."""
PATHS: tuple[ApiPath, ...] = ("chat/completions", "completions", "embeddings")


def make_app(
    config: Config, *, watched: Path | None = None, shared: Path | None = None
) -> Starlette:
    """An application for one worker process; see `Gateway` for `watched` and `shared`."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        gateway = await _opened(config, watched, shared)
        app.state.gateway = gateway
        views = Views(gateway.journal.engine, gateway.present, partial(_seen_by, gateway))
        app.router.routes[:0] = views.routes()  # before the mount that has their prefix
        try:
            yield
        finally:
            await app.state.gateway.aclose()

    return Starlette(
        routes=[
            *(Route(f"/v1/{path}", Calls(Plain(path)), methods=["POST"]) for path in PATHS),
            Route("/v1/responses", Calls(Responses()), methods=["POST"]),
            Route("/v1/models", list_models),
            Route("/v1/models/{name:path}", show_model),
            Route("/health", health),
            Route("/metrics", show_metrics),
            Route("/openapi.json", show_openapi),
            Mount("/admin/v1", routes=admin_routes(lambda request: _gateway(request).office)),
            *dashboard_routes(),
        ],
        middleware=[Middleware(LocalOnly)] if config.access.keys == "none" else [],
        lifespan=lifespan,
        exception_handlers={404: _unknown_path, 405: _unknown_path},
    )


async def _opened(config: Config, watched: Path | None, shared: Path | None) -> Gateway:
    """The gateway, once its database is there: one that is away for a moment must not end it."""
    until = time.monotonic() + _DATABASE_S
    while True:
        try:
            return await Gateway.open(config, watched=watched, shared=shared)
        except BadInput as error:
            if error.__cause__ is None or time.monotonic() > until:
                raise
            LOG.error("not open yet: %s", error)
            await asyncio.sleep(1.0)


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _seen_by(gateway: Gateway, request: Request) -> Principal:
    """Whoever looks at the dashboard, by key or session."""
    key = bearer(request.scope)
    if key is None and request.cookies:
        try:
            https = request.url.scheme == "https"
            return gateway.office.sessions.of(request.cookies, https=https).principal
        except Denied:
            pass
    return gateway.counter.directory.find(key)


async def show_metrics(request: Request) -> Response:
    """Prometheus's page, for whoever may look at the whole gateway."""
    gateway: Gateway = request.app.state.gateway
    try:
        principal = gateway.counter.directory.find(bearer(request.scope))
        if not Actor.of(principal).is_at_least("owner"):
            raise Denied("metrics are for owners of the gateway", status=403)
    except BursarError as error:
        failure = failure_of(error)
        return JSONResponse(failure.document, failure.status, failure.headers)
    page = await asyncio.to_thread(gateway.metrics.render)
    return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")


async def list_models(request: Request) -> JSONResponse:
    """What may be asked for by this key."""
    gateway: Gateway = request.app.state.gateway
    try:
        principal = gateway.counter.directory.find(bearer(request.scope))
    except Exception as error:
        failure = failure_of(error)
        return JSONResponse(failure.document, failure.status, failure.headers)
    desk = gateway.counter.desk
    shown = [_shown(m) for m in desk.models.values() if principal.may_use(m.name)]
    for name in desk.placing.routes:
        shown.append({"id": name, "object": "model", "created": 0, "owned_by": "bursar"})
    return JSONResponse({"object": "list", "data": shown})


async def show_model(request: Request) -> JSONResponse:
    """One model."""
    gateway: Gateway = request.app.state.gateway
    name = request.path_params["name"]
    try:
        principal = gateway.counter.directory.find(bearer(request.scope))
    except Exception as error:
        failure = failure_of(error)
        return JSONResponse(failure.document, failure.status, failure.headers)
    if name not in gateway.counter.desk.models or not principal.may_use(name):
        failure = Failure(
            404, "model_not_found", "invalid_request_error", f"there is no model {name[:80]!r}"
        )
        return JSONResponse(failure.document, 404)
    return JSONResponse(_shown(gateway.counter.desk.models[name]))


async def health(request: Request) -> JSONResponse:
    """Whether this worker serves."""
    return JSONResponse({"status": "ok"})


def _shown(model: Model) -> dict[str, object]:
    price = model.at.price
    return {
        "id": model.name,
        "object": "model",
        "created": 0,
        "owned_by": "bursar",
        "context_length": model.at.context_tokens,
        "max_output_tokens": model.at.max_output_tokens,
        "usd_per_mtok_in": None if price is None else price.usd_per_mtok_in,
        "usd_per_mtok_out": None if price is None else price.usd_per_mtok_out,
    }


async def _unknown_path(request: Request, error: Exception) -> JSONResponse:
    status = getattr(error, "status_code", 404)
    failure = Failure(
        status,
        "not_found" if status == 404 else "method_not_allowed",
        "invalid_request_error",
        f"there is no {request.method} {request.url.path[:200]}; see /docs",
    )
    return JSONResponse(failure.document, status)
