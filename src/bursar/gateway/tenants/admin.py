"""The admin API: organisations, teams, keys, budgets, usage, audit, webhooks, sessions.

Mount `routes(...)` under /admin/v1. Who asks is known by a bearer key or, for the dashboard, by a
session cookie; a change with a cookie needs the session's CSRF token. Everything else is the
store's to check: these handlers only translate.

| path                      | methods            |                                              |
|---------------------------|--------------------|----------------------------------------------|
| /session                  | GET, POST, DELETE  | who am I; log in with a key; log out         |
| /organisations[/{slug}]   | GET, POST, PATCH, DELETE | DELETE closes: all its keys are revoked |
| /teams[/{org}/{team}]     | GET, POST, PATCH, DELETE | the same                               |
| /keys[/{id}[/rotate]]     | GET, POST, PATCH, DELETE | a key's text is in the answer once     |
| /budgets[/{account}]      | GET, PATCH         | edits need If-Match: the ETag that was read  |
| /usage, /audit            | GET                |                                              |
| /webhooks[/{id}]          | GET, POST, DELETE  |                                              |

Lists take `limit` and `after` (the `next` of the page before); `under` keeps to an account.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bursar.errors import BadInput
from bursar.gateway.api.http import ClientLeft, bearer, read_content
from bursar.gateway.errors import Failure, Refused, failure_of
from bursar.gateway.principal import Denied
from bursar.gateway.tenants import documents as docs
from bursar.gateway.tenants.actor import Actor
from bursar.gateway.tenants.budgets import Stale
from bursar.gateway.tenants.session import CSRF_HEADER, Opens, Session, Sessions
from bursar.gateway.tenants.store import Tenants
from bursar.gateway.tenants.usage import usage_below
from bursar.gateway.tenants.webhooks import Webhooks

_LOG = logging.getLogger(__name__)
_MOST_BYTES, _PATIENCE_S = 100_000, 10.0
_MOST, _USUAL = 200, 50
_SAFE = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Office:
    """What the admin API works with, open in this worker."""

    tenants: Tenants
    directory: Opens
    sessions: Sessions
    webhooks: Webhooks


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, by someone known."""

    office: Office
    by: Actor
    session: Session | None
    request: Request
    content: bytes

    def path(self, *names: str) -> str:
        """Parts of the path, joined as an account."""
        return "/".join(str(self.request.path_params[name]) for name in names)

    def text(self, name: str) -> str:
        """A parameter of the query; empty when it is not there."""
        return str(self.request.query_params.get(name, ""))

    def number(self, name: str, usual: int, most: int) -> int:
        """A whole number of the query."""
        text = self.text(name) or str(usual)
        if not text.isascii() or not text.isdigit() or not 1 <= int(text[:12]) <= most:
            raise BadInput(f"{name} is {text[:40]!r}; it must be a whole number from 1 to {most}")
        return int(text)

    @property
    def limit(self) -> int:
        """How many a page holds."""
        return self.number("limit", _USUAL, _MOST)


Answer = tuple[int, dict[str, Any], dict[str, str]]
Handler = Callable[[Asked], Answer]


def routes(office: Callable[[Request], Office]) -> list[Route]:
    """The API's routes; `office` finds what they work with, which may be opened later."""

    def to(path: str, **handlers: Handler) -> Route:
        endpoint = _endpoint(office, handlers)
        return Route(path, endpoint, methods=list(handlers))

    return [
        Route("/session", _session_endpoint(office), methods=["GET", "POST", "DELETE"]),
        to("/organisations", GET=list_organisations, POST=create_organisation),
        to("/organisations/{account}", GET=show_place, PATCH=retitle, DELETE=close),
        to("/teams", GET=list_teams, POST=create_team),
        to("/teams/{account:path}", GET=show_place, PATCH=retitle, DELETE=close),
        to("/keys", GET=list_keys, POST=create_key),
        to("/keys/{key}", GET=show_key, PATCH=change_key, DELETE=revoke_key),
        to("/keys/{key}/rotate", POST=rotate_key),
        to("/budgets", GET=list_budgets),
        to("/budgets/{account:path}", GET=show_budget, PATCH=edit_budget),
        to("/usage", GET=list_usage),
        to("/audit", GET=list_changes),
        to("/webhooks", GET=list_webhooks, POST=create_webhook),
        to("/webhooks/{webhook}", DELETE=remove_webhook),
    ]


def list_organisations(asked: Asked) -> Answer:
    found = asked.office.tenants.teams.organisations(
        asked.by, after=asked.text("after"), most=asked.limit + 1
    )
    return _page(asked, [docs.shown_place(one) for one in found])


def create_organisation(asked: Asked) -> Answer:
    body = docs.read(docs.NewOrganisation, asked.content)
    made = asked.office.tenants.teams.create_organisation(
        asked.by, body.slug, title=body.title, limits=body.limits
    )
    return _made(docs.shown_place(made))


def list_teams(asked: Asked) -> Answer:
    found = asked.office.tenants.teams.teams(
        asked.by,
        organisation=asked.text("under"),
        after=asked.text("after"),
        most=asked.limit + 1,
    )
    return _page(asked, [docs.shown_place(one) for one in found])


def create_team(asked: Asked) -> Answer:
    body = docs.read(docs.NewTeam, asked.content)
    made = asked.office.tenants.teams.create_team(
        asked.by, body.organisation, body.slug, title=body.title, limits=body.limits
    )
    return _made(docs.shown_place(made))


def show_place(asked: Asked) -> Answer:
    return _ok(docs.shown_place(asked.office.tenants.teams.show(asked.by, asked.path("account"))))


def retitle(asked: Asked) -> Answer:
    title = docs.read(docs.Title, asked.content).title
    return _ok(
        docs.shown_place(asked.office.tenants.teams.retitle(asked.by, asked.path("account"), title))
    )


def close(asked: Asked) -> Answer:
    return _ok(docs.shown_place(asked.office.tenants.teams.close(asked.by, asked.path("account"))))


def list_keys(asked: Asked) -> Answer:
    found = asked.office.tenants.keys.listed(
        asked.by, under=asked.text("under"), after=asked.text("after"), most=asked.limit + 1
    )
    return _page(asked, [docs.shown_key(key, time.time()) for key in found])


def create_key(asked: Asked) -> Answer:
    body = docs.read(docs.NewKey, asked.content)
    key, secret = asked.office.tenants.keys.create(
        asked.by, body.team, body.name, body.rights, limits=body.limits
    )
    return _made(docs.shown_key(key, time.time(), secret))


def show_key(asked: Asked) -> Answer:
    key = asked.office.tenants.keys.show(asked.by, asked.path("key"))
    return _ok(docs.shown_key(key, time.time()))


def change_key(asked: Asked) -> Answer:
    body = docs.read(docs.KeyRights, asked.content)
    sent = {name: getattr(body, name) for name in body.model_fields_set}
    key = asked.office.tenants.keys.change(asked.by, asked.path("key"), **sent)
    return _ok(docs.shown_key(key, time.time()))


def revoke_key(asked: Asked) -> Answer:
    key = asked.office.tenants.keys.revoke(asked.by, asked.path("key"))
    return _ok(docs.shown_key(key, time.time()))


def rotate_key(asked: Asked) -> Answer:
    grace_s = docs.read(docs.Rotation, asked.content).grace_s
    key, secret = asked.office.tenants.keys.rotate(asked.by, asked.path("key"), grace_s=grace_s)
    return _ok(docs.shown_key(key, time.time(), secret))


def list_budgets(asked: Asked) -> Answer:
    found = asked.office.tenants.budgets.listed(
        asked.by, under=asked.text("under"), after=asked.text("after"), most=asked.limit + 1
    )
    return _page(asked, [docs.shown_budget(budget) for budget in found])


def show_budget(asked: Asked) -> Answer:
    budget = asked.office.tenants.budgets.read(asked.by, asked.path("account"))
    return 200, docs.shown_budget(budget), {"etag": f'"{budget.version}"'}


def edit_budget(asked: Asked) -> Answer:
    body = docs.read(docs.BudgetEdit, asked.content)
    match = asked.request.headers.get("if-match", "")
    if not match:
        raise Refused(
            "an edit needs the header If-Match with the ETag of the budget that was read, so that "
            'nobody\'s edit is lost; "*" edits whatever there is',
            status=428,
            code="precondition_required",
        )
    budget = asked.office.tenants.budgets.edit(
        asked.by,
        asked.path("account"),
        limits=body.limits,
        thresholds=body.thresholds,
        version=_version(match),
    )
    return 200, docs.shown_budget(budget), {"etag": f'"{budget.version}"'}


def list_usage(asked: Asked) -> Answer:
    under = asked.text("under")
    found = usage_below(
        asked.office.tenants.database,
        asked.office.tenants.ledger,
        asked.by,
        under=under,
        depth=asked.number("depth", min(4, len(under.split("/")) + 1 if under else 1), 4),
        after=asked.text("after"),
        most=asked.limit + 1,
    )
    return _page(asked, [docs.shown_usage(totals) for totals in found])


def list_changes(asked: Asked) -> Answer:
    before = asked.number("after", 1, 2**53) if asked.text("after") else None
    found = asked.office.tenants.audit(asked.by, before=before, most=asked.limit + 1)
    return _page(asked, [docs.shown_change(change) for change in found], "seq")


def list_webhooks(asked: Asked) -> Answer:
    found = asked.office.webhooks.listed(asked.by)
    return _ok({"object": "list", "data": [docs.shown_webhook(hook) for hook in found]})


def create_webhook(asked: Asked) -> Answer:
    body = docs.read(docs.NewWebhook, asked.content)
    made, secret = asked.office.webhooks.create(asked.by, body.account, body.url)
    return _made(docs.shown_webhook(made, secret))


def remove_webhook(asked: Asked) -> Answer:
    webhook = asked.path("webhook")
    asked.office.webhooks.remove(asked.by, webhook)
    return _ok({"object": "webhook", "id": webhook, "removed": True})


def _ok(document: dict[str, Any]) -> Answer:
    return 200, document, {}


def _made(document: dict[str, Any]) -> Answer:
    return 201, document, {}


def _page(asked: Asked, found: Sequence[dict[str, Any]], cursor: str = "account") -> Answer:
    """One page, of which one more was asked for than it holds."""
    shown, more = list(found[: asked.limit]), len(found) > asked.limit
    following = str(shown[-1][cursor]) if more else None
    return _ok({"object": "list", "data": shown, "has_more": more, "next": following})


def _version(match: str) -> int | None:
    text = match.strip().removeprefix("W/").strip('"')
    if text == "*":
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Stale(f"If-Match is {match[:40]!r}, which is no ETag of a budget; read it again")
    return int(text)


def _endpoint(
    office: Callable[[Request], Office], handlers: dict[str, Handler]
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        handler = handlers["GET" if request.method == "HEAD" else request.method]

        async def work() -> Response:
            found = office(request)
            by, session = _who(found, request)
            content = await _content(request)
            asked = Asked(found, by, session, request, content)
            status, document, headers = await asyncio.to_thread(handler, asked)
            return JSONResponse(document, status, {"cache-control": "no-store", **headers})

        return await _answered(work)

    return answer


def _session_endpoint(
    office: Callable[[Request], Office],
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        async def work() -> Response:
            found, https = office(request), request.url.scheme == "https"
            headers = {"cache-control": "no-store"}
            if request.method == "POST":
                _check_site(request)
                key = docs.read(docs.Login, await _content(request)).key
                client = request.client.host if request.client else ""
                session, cookie = found.sessions.login(key, client, https=https)
                return JSONResponse(_shown(session), 201, {**headers, "set-cookie": cookie})
            by, held = _who(found, request)
            if request.method == "DELETE":
                cookie = found.sessions.logout(https=https)
                return JSONResponse({"object": "session"}, 200, {**headers, "set-cookie": cookie})
            shown = {"object": "session", "key": by.name, "role": by.role, "root": by.root}
            return JSONResponse(shown | (_shown(held) if held else {}), 200, headers)

        return await _answered(work)

    return answer


def _who(office: Office, request: Request) -> tuple[Actor, Session | None]:
    """Who asks. Raises `Denied`; a change from another site's page is never anyone's."""
    change = request.method not in _SAFE
    if change:
        _check_site(request)
    key = bearer(request.scope)
    if key is None and request.cookies:
        https = request.url.scheme == "https"
        try:
            session = office.sessions.of(request.cookies, https=https)
        except Denied:
            return Actor.of(office.directory.find(None)), None
        if change:
            office.sessions.check(session, request.headers.get(CSRF_HEADER))
        return Actor.of(session.principal), session
    return Actor.of(office.directory.find(key)), None


def _check_site(request: Request) -> None:
    """Browsers say where a request comes from; a page elsewhere may not change anything here."""
    if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise Denied("a page of another site may not do this", status=403)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method != "DELETE" and kind != "application/json":
        raise Refused(
            f"the content-type is {kind[:60]!r}; send application/json",
            status=415,
            code="unsupported_media_type",
        )


async def _content(request: Request) -> bytes:
    if request.method in _SAFE:
        return b""
    return await read_content(request.scope, request.receive, _MOST_BYTES, _PATIENCE_S)


async def _answered(work: Callable[[], Awaitable[Response]]) -> Response:
    try:
        return await work()
    except ClientLeft:
        return Response(status_code=400)  # nobody reads it
    except Exception as error:
        failure = _failure(error)
        if failure.status == 500:
            _LOG.exception("the admin API failed")
        return JSONResponse(failure.document, failure.status, failure.headers)


def _failure(error: Exception) -> Failure:
    if isinstance(error, Denied) and error.status == 404:
        return Failure(404, "not_found", "invalid_request_error", str(error))
    if isinstance(error, Stale):
        return Failure(412, "precondition_failed", "invalid_request_error", str(error))
    return failure_of(error)


def _shown(session: Session) -> dict[str, Any]:
    by = Actor.of(session.principal)
    return {
        "object": "session",
        "key": by.name,
        "account": session.principal.account,
        "role": by.role,
        "root": by.root,
        "csrf": session.csrf,
        "ends_at": session.ends_at,
    }
