"""A small site with the dashboard on made-up records: sessions, budgets and moments are faked."""

from __future__ import annotations

import contextlib
import math
import random
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import uvicorn
from seen_records import record
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bursar.errors import BadInput
from bursar.gateway.dashboard.pages import dashboard_routes
from bursar.gateway.principal import Denied, Principal
from bursar.gateway.record import Record
from bursar.gateway.seen.journal import Journal
from bursar.gateway.seen.views import Views
from bursar.limits import limit_grains
from bursar.usage import Usage

PEOPLE = {
    "sk-owner": Principal("k0", "acme/platform/root", role="owner"),
    "sk-admin": Principal("k1", "acme/platform/ada", role="admin"),
    "sk-viewer": Principal("k2", "acme/search/vera", role="viewer"),
    "sk-member": Principal("k3", "acme/search/max", role="member"),
    "sk-other": Principal("k4", "globex/lab/omar", role="admin"),
}
TEAMS = {
    "acme/search": ("max", "vera", "nightly-evals"),
    "acme/support-agents": ("triage", "replies"),
    "acme/platform": ("ada",),
    "acme/research": ("ivy", "sweep"),
    "globex/lab": ("omar", "batch"),
}
STRATEGIES = ("direct", "best_of_n", "self_consistency", "auto")
ERRORS = {402: "budget_exhausted", 429: "rate_limited", 502: "upstream_failed"}
MODELS = (("small", "local", 0.4), ("large", "far", 2.2), ("haiku", "anthropic", 0.9))


def made_up(now: float, days: float = 30.0, count: int = 4000, seed: int = 3) -> Iterator[Record]:
    """Requests of a few teams, busier by day, the later the more."""
    draw = random.Random(seed)
    for i in range(count):
        began = now - days * 86400 * (1 - (i + draw.random()) / count) ** 1.6
        if math.cos((began % 86400) / 86400 * 2 * math.pi) > draw.uniform(-0.9, 1.3):
            continue
        team = draw.choices(list(TEAMS), (5, 8, 2, 4, 3))[0]
        model, upstream, pace = draw.choices(MODELS, (6, 3, 2))[0]
        strategy = draw.choices(STRATEGIES, (5, 2, 1, 3))[0]
        calls = 1 if strategy == "direct" else draw.randint(2, 6)
        usd = calls * pace * draw.lognormvariate(-4.6, 0.9)
        status = draw.choices((200, 402, 429, 502), (95, 2, 2, 1))[0]
        ok = status == 200
        yield record(
            request_id=f"req-{i}",
            began_at=began,
            account=f"{team}/{draw.choice(TEAMS[team])}",
            model=model if strategy == "direct" else f"{strategy}:{model}",
            served_by=f"{model}@{upstream}" if ok or status == 502 else "",
            strategy=strategy,
            status=status,
            error=ERRORS.get(status, ""),
            seconds=pace * draw.lognormvariate(0, 0.7) if ok else 0.01,
            calls=calls if ok else 0,
            spent=Usage(draw.randint(50, 4000), calls * draw.randint(20, 900), usd=usd)
            if ok
            else Usage.zero(),
            saved_usd=usd * draw.uniform(0, 2.5) if strategy != "direct" and ok else 0.0,
            hold=i,
        )


@dataclass(frozen=True)
class Limit:
    resource: str
    window: str
    limit: float
    spent: float
    held: float
    resets_at: float | None


@dataclass(frozen=True)
class Account:
    account: str
    version: int
    limits: str
    standings: tuple[Limit, ...]


@dataclass
class Moment:
    """What is true now, made up; budgets can be edited."""

    at: float
    accounts: dict[str, Account] = field(default_factory=dict)

    def __post_init__(self) -> None:
        soon, month = self.at + 5 * 3600, self.at + 9.3 * 86400
        for account, limits, standings in (
            ("acme", "400 USD per month", [Limit("usd", "month", 400, 231.4, 1.2, month)]),
            (
                "acme/search",
                "6 USD per day, 2M tokens per rolling 24 h",
                [
                    Limit("usd", "day", 6.0, 3.18, 0.42, soon),
                    Limit("tokens", "rolling 24 h", 2e6, 2.13e5, 1.2e4, None),
                ],
            ),
            ("acme/support-agents", "9 USD per day", [Limit("usd", "day", 9.0, 8.1, 0.3, soon)]),
            ("acme/research", "40 USD", [Limit("usd", "", 40.0, 41.2, 0.0, None)]),
            ("globex/lab", "5 USD per day", [Limit("usd", "day", 5.0, 1.0, 0.0, soon)]),
        ):
            self.accounts[account] = Account(account, 1, limits, tuple(standings))

    def budgets(self, root: str) -> Sequence[Account]:
        below = f"{root}/" if root else ""
        return [a for path, a in sorted(self.accounts.items()) if f"{path}/".startswith(below)]

    def price(self) -> Mapping[str, float]:
        return {"tokens": 1.34}

    def upstreams(self) -> Sequence[Mapping[str, Any]]:
        names = ("name", "model", "state", "in_flight", "p50_s", "failed_share")
        rows = (
            ("local", "small", "up", 3, 0.41, 0.0),
            ("far", "large", "trying", 1, 2.3, 0.08),
            ("anthropic", "haiku", "down", 0, None, 1.0),
        )
        return [dict(zip(names, row, strict=True)) for row in rows]

    def running(self) -> Sequence[Mapping[str, Any]]:
        run = {"endpoint": "chat/completions", "model": "auto"}
        return [
            {**run, "request_id": "run-1", "began_at": self.at - 4.2, "account": "acme/search/max"},
            {**run, "request_id": "run-2", "began_at": self.at - 0.7, "account": "globex/lab/omar"},
        ]


def site(journal: Journal, moment: Moment) -> Starlette:
    """The dashboard, its data, and what stands in for tenancy."""
    sessions: dict[str, tuple[Principal, str]] = {}

    def authorise(request: Request) -> Principal:
        try:
            return sessions[request.cookies.get("bursar_session", "")][0]
        except KeyError:
            raise Denied("sign in first") from None

    async def session(request: Request) -> Response:
        if request.method == "GET":
            authorise(request)
            return JSONResponse({"csrf": sessions[request.cookies["bursar_session"]][1]})
        if request.method == "DELETE":
            if request.headers["x-csrf-token"] != sessions[request.cookies["bursar_session"]][1]:
                return JSONResponse({"error": {"message": "no token"}}, 403)
            sessions.pop(request.cookies["bursar_session"])
            return JSONResponse({})
        principal = PEOPLE.get((await request.json())["key"])
        if principal is None:
            return JSONResponse({"error": {"message": "That key is unknown here."}}, 401)
        name, csrf = secrets.token_hex(16), secrets.token_hex(16)
        sessions[name] = principal, csrf
        reply = JSONResponse({"csrf": csrf})
        reply.set_cookie("bursar_session", name, httponly=True, samesite="strict")
        return reply

    async def budget(request: Request) -> Response:
        authorise(request)
        if request.headers.get("x-csrf-token") != sessions[request.cookies["bursar_session"]][1]:
            return JSONResponse({"error": {"message": "no token"}}, 403)
        path = request.path_params["account"]
        old = moment.accounts.get(path, Account(path, 0, "", ()))
        if request.headers.get("if-match") != f'"{old.version}"':
            return JSONResponse({"error": {"message": "stale"}}, 412)
        text = (await request.json())["limits"]
        try:
            limits = limit_grains(text.removesuffix(" per day")) if text else {}
        except BadInput as error:
            return JSONResponse({"error": {"message": str(error)}}, 400)
        amount = limits.get("usd", 0) / 1e12
        first = old.standings[0] if old.standings else Limit("usd", "day", 0, 0, 0, moment.at + 60)
        standings = (replace(first, limit=amount, window="day"),)
        moment.accounts[path] = Account(path, old.version + 1, text, standings)
        return JSONResponse({"version": old.version + 1})

    views = Views(journal.engine, moment, authorise, clock=lambda: moment.at)
    methods = ["GET", "POST", "DELETE"]
    return Starlette(
        routes=[
            *dashboard_routes(),
            *views.routes(),
            Route("/admin/v1/session", session, methods=methods),
            Route("/admin/v1/budgets/{account:path}", budget, methods=["PATCH"]),
        ]
    )


@contextlib.contextmanager
def served(app: Starlette) -> Iterator[str]:
    """The address at which `app` is served by a thread."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listening.close()
