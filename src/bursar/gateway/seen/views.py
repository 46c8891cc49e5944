"""What the dashboard asks, as JSON: routes under /admin/v1/seen, each kept to what one may see."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import Any

import orjson
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from bursar.errors import BadInput, BursarError
from bursar.gateway.principal import Denied, Principal
from bursar.gateway.seen.exports import FORMATS, WHAT, csv_pieces, parquet_file
from bursar.gateway.seen.frame import RANGES, Frame
from bursar.gateway.seen.look import Look
from bursar.gateway.seen.now import AccountBudget, Now
from bursar.gateway.tenants.actor import Actor
from bursar.ledger.schema import storage_error
from bursar.units import LIMITABLE

PREFIX = "/admin/v1/seen"
RESOURCES = ("ended", *LIMITABLE)
"""What can be drawn over time; "ended" counts the requests that ended."""

Authorise = Callable[[Request], Principal]
"""Whoever makes a request, by its session or its key. Raises `Denied`."""


class Views:
    """The routes, over the records in `engine` and what `now` knows."""

    def __init__(
        self,
        engine: Engine,
        now: Now,
        authorise: Authorise,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine, self._look = engine, Look(engine)
        self._now, self._authorise, self._clock = now, authorise, clock

    def routes(self) -> list[Route]:
        """To be mounted at the root of the application."""
        views = {
            "overview": self._overview,
            "top": self._top,
            "live": self._live,
            "limit": self._limit,
        }
        routes = [Route(f"{PREFIX}/{name}", self._json(view)) for name, view in views.items()]
        routes.append(Route(f"{PREFIX}/me", self._me))
        return [*routes, Route(f"{PREFIX}/export", self._export)]

    def _json(self, view: Callable[[Request, Principal], Any]) -> Any:
        async def answer(request: Request) -> Response:
            try:
                principal = self._authorise(request)
                found = await run_in_threadpool(view, request, principal)
            except (BursarError, SQLAlchemyError) as error:
                return self._refused(error)
            return _reply(found)

        return answer

    async def _me(self, request: Request) -> Response:
        """Who asks; a page that asks this first need not fail to learn that nobody is signed in."""
        try:
            principal = self._authorise(request)
        except Denied as denied:
            return _reply({"signed_in": False, "why": str(denied)})
        by = Actor.of(principal)
        found = {
            "signed_in": True,
            "account": principal.account,
            "role": by.role,
            "root": by.root,
            "may_edit": by.is_at_least("admin"),
        }
        return _reply(found)

    def _overview(self, request: Request, principal: Principal) -> Any:
        frame = self._frame(request, principal)
        resource = _chosen(request, "resource", RESOURCES, "usd")
        found = self._look.overview(frame, resource)
        found["budgets"] = [_budget(budget) for budget in self._now.budgets(frame.root)]
        found["now"] = frame.now
        return found

    def _top(self, request: Request, principal: Principal) -> Any:
        frame = self._frame(request, principal)
        return {by: self._look.top(frame, by) for by in ("slowest", "dearest")}

    def _live(self, request: Request, principal: Principal) -> Any:
        frame = self._frame(request, principal)
        sees = Actor.of(principal).sees
        runs = [dict(run) for run in self._now.running() if sees(run["account"])]
        return {
            "now": frame.now,
            "running": sorted(runs, key=lambda run: run["began_at"]),
            "latest": self._look.latest(frame),
            "price": dict(self._now.price()),
            "upstreams": [dict(upstream) for upstream in self._now.upstreams()],
        }

    def _limit(self, request: Request, principal: Principal) -> Any:
        frame = self._frame(request, principal)
        account = request.query_params.get("account", "")
        resource, window = (request.query_params.get(n, "") for n in ("resource", "window"))
        standing = next(
            (
                standing
                for budget in self._now.budgets(frame.root)
                for standing in budget.standings
                if (budget.account, standing.resource, standing.window)
                == (account, resource, window)
            ),
            None,
        )
        if standing is None or not Actor.of(principal).sees(account):
            raise Denied(f"{account[:200]!r} has no such limit, or none you may see", status=404)
        return {
            "starts": frame.starts,
            "step_s": RANGES[frame.range][1],
            "used": self._look.used(frame, account, resource, window),
            "limit": standing.limit,
        }

    async def _export(self, request: Request) -> Response:
        try:
            frame = self._frame(request, self._authorise(request))
            what = _chosen(request, "what", tuple(WHAT), "days")
            form = _chosen(request, "format", tuple(FORMATS), "csv")
            name = f"bursar-{what}-{frame.range}.{form}"
            headers = {"content-disposition": f'attachment; filename="{name}"', **_PRIVATE}
            if form == "csv":
                pieces = csv_pieces(self._engine, frame, what)
                return StreamingResponse(pieces, media_type=FORMATS[form], headers=headers)
            file = await run_in_threadpool(parquet_file, self._engine, frame, what)
        except (BursarError, SQLAlchemyError) as error:
            return self._refused(error)
        done = BackgroundTask(shutil.rmtree, file.parent, ignore_errors=True)
        return FileResponse(file, media_type=FORMATS[form], headers=headers, background=done)

    def _frame(self, request: Request, principal: Principal) -> Frame:
        asked = request.query_params
        return Frame(
            Actor.of(principal).root,
            _chosen(request, "range", tuple(RANGES), "24h"),
            asked.get("team", ""),
            asked.get("model", ""),
            self._clock(),
        )

    def _refused(self, error: Exception) -> Response:
        if isinstance(error, SQLAlchemyError):
            error = storage_error(self._engine.url.render_as_string(), error)
            return _reply(_said(error, "unavailable"), 503)
        if isinstance(error, Denied):
            return _reply(_said(error, "denied"), error.status)
        return _reply(_said(error, "invalid_request"), 400)


_PRIVATE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def _reply(document: Any, status: int = 200) -> Response:
    body = orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS)
    return Response(body, status, _PRIVATE, "application/json")


def _said(error: Exception, code: str) -> dict[str, Any]:
    return {"error": {"message": str(error), "type": code, "code": code}}


def _chosen(request: Request, name: str, choices: tuple[str, ...], usual: str) -> str:
    value = request.query_params.get(name, usual)
    if value not in choices:
        raise BadInput(f"{name} is {value[:80]!r}; choose one of {', '.join(choices)}")
    return value


def _budget(budget: AccountBudget) -> dict[str, Any]:
    names = ("resource", "window", "limit", "spent", "held", "resets_at")
    return {
        "account": budget.account,
        "version": budget.version,
        "limits": budget.limits,
        "standings": [{n: getattr(each, n) for n in names} for each in budget.standings],
    }
