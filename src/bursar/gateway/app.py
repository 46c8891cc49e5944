"""The gateway as an ASGI application: routes, and what lives as long as the process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bursar.gateway.api import Calls
from bursar.gateway.config import Config, ModelAt
from bursar.gateway.counter import Counter
from bursar.gateway.desk import Desk
from bursar.gateway.errors import Failure, failure_of
from bursar.gateway.models import Model, open_models, open_upstream
from bursar.gateway.principal import Directory, OpenDoor
from bursar.gateway.thinking import Thinker
from bursar.gateway.upstream.base import Upstream
from bursar.ledger import Ledger

PATHS = ("chat/completions", "completions", "embeddings")


@dataclass(slots=True)
class Gateway:
    """A gateway's parts, opened in the process and on the event loop that will use them."""

    config: Config
    ledger: Ledger
    models: dict[str, Model]
    counter: Counter
    thinker: Thinker

    @classmethod
    def open(
        cls,
        config: Config,
        directory: Directory | None = None,
        opened: Callable[[ModelAt], Upstream] = open_upstream,
    ) -> Gateway:
        """Open everything; raises `BadInput` with nothing left open where something can't be."""
        ledger = Ledger(config.ledger.where, ttl_s=config.ledger.ttl_s)
        models = open_models(config, opened)
        thinker = Thinker()
        door = directory or OpenDoor()
        if isinstance(door, OpenDoor) and config.access.limits:
            ledger.set_limits(door.principal.account, config.access.limits)
        desk = Desk(ledger, models, config.requests, thinker)
        return cls(config, ledger, models, Counter(config, desk, door), thinker)

    async def aclose(self) -> None:
        """Close everything; requests must have ended."""
        self.thinker.close()
        for model in self.models.values():
            await model.aclose()
        self.ledger.close()


def make_app(config: Config, directory: Directory | None = None) -> Starlette:
    """An application for one worker process."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        gateway = Gateway.open(config, directory)
        app.state.gateway = gateway
        for route, path in zip(calls, PATHS, strict=True):
            route.app = Calls(gateway.counter, path)  # type: ignore[arg-type]
        try:
            yield
        finally:
            await gateway.aclose()

    calls = [Route(f"/v1/{path}", _not_yet, methods=["POST"]) for path in PATHS]
    return Starlette(
        routes=[
            *calls,
            Route("/v1/models", list_models),
            Route("/v1/models/{name:path}", show_model),
            Route("/health", health),
        ],
        lifespan=lifespan,
        exception_handlers={404: _unknown_path, 405: _unknown_path},
    )


async def list_models(request: Request) -> JSONResponse:
    """What may be asked for by this key."""
    gateway: Gateway = request.app.state.gateway
    try:
        principal = gateway.counter.directory.find(_bearer(request))
    except Exception as error:
        failure = failure_of(error)
        return JSONResponse(failure.document, failure.status, failure.headers)
    shown = [_shown(m) for m in gateway.models.values() if principal.may_use(m.name)]
    return JSONResponse({"object": "list", "data": shown})


async def show_model(request: Request) -> JSONResponse:
    """One model."""
    gateway: Gateway = request.app.state.gateway
    name = request.path_params["name"]
    try:
        principal = gateway.counter.directory.find(_bearer(request))
    except Exception as error:
        failure = failure_of(error)
        return JSONResponse(failure.document, failure.status, failure.headers)
    if name not in gateway.models or not principal.may_use(name):
        failure = Failure(
            404, "model_not_found", "invalid_request_error", f"there is no model {name[:80]!r}"
        )
        return JSONResponse(failure.document, 404)
    return JSONResponse(_shown(gateway.models[name]))


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


def _bearer(request: Request) -> str | None:
    from bursar.gateway.api.http import bearer

    return bearer(request.scope)


async def _unknown_path(request: Request, error: Exception) -> JSONResponse:
    status = getattr(error, "status_code", 404)
    failure = Failure(
        status,
        "not_found" if status == 404 else "method_not_allowed",
        "invalid_request_error",
        f"there is no {request.method} {request.url.path[:200]}; see /docs",
    )
    return JSONResponse(failure.document, status)


async def _not_yet(request: Request) -> JSONResponse:
    return JSONResponse({"error": {"message": "starting", "type": "api_error"}}, 503)
