"""The admin API over HTTP: roles, shapes, pages, edits that keep each other, sessions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from tenants_at import House, house_at

from bursar.gateway.principal import OpenDoor
from bursar.gateway.tenants.admin import Office, routes
from bursar.gateway.tenants.directory import KeyDirectory
from bursar.gateway.tenants.session import CSRF_HEADER, Sessions
from bursar.gateway.tenants.webhooks import Webhooks
from bursar.usage import Usage

SECRET = b"0123456789abcdef0123456789abcdef"


@dataclass
class Desk:
    """The API of a house, and keys to ask it with."""

    house: House
    directory: KeyDirectory
    client: TestClient
    owner: str
    admin: str
    viewer: str
    member: str
    rival: str

    def ask(self, method: str, path: str, key: str, body: Any = None, **headers: str) -> Any:
        headers = {"authorization": f"Bearer {key}", **headers}
        if method not in ("GET", "DELETE"):
            headers.setdefault("content-type", "application/json")
        self.directory.refresh()
        sent = {} if body is None else {"json": body}
        return self.client.request(method, f"/admin/v1{path}", headers=headers, **sent)

    def good(self, method: str, path: str, key: str, body: Any = None, **headers: str) -> Any:
        answer = self.ask(method, path, key, body, **headers)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def refused(self, method: str, path: str, key: str, body: Any = None, **headers: str) -> Any:
        """Status, code and message of a refusal, which is in OpenAI's shape."""
        answer = self.ask(method, path, key, body, **headers)
        error = answer.json()["error"]
        assert {"message", "type", "param", "code"} <= error.keys()
        return answer.status_code, error["code"], error["message"]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    place = str(tmp_path / "gateway.sqlite")
    with house_at(place, "acme/research", "acme/sales", "rival/ops") as house:
        keys = [
            house.key(team, name, role=role)[1]
            for team, name, role in (
                ("acme/research", "boss", "owner"),
                ("acme/research", "root", "admin"),
                ("acme/research", "eve", "viewer"),
                ("acme/research", "bob", "member"),
                ("rival/ops", "root", "admin"),
            )
        ]
        directory = KeyDirectory(house.database(), clock=house.clock)
        office = Office(
            house.tenants,
            directory,
            Sessions(directory, SECRET, clock=house.clock),
            Webhooks(house.tenants.database, SECRET, clock=house.clock),
        )
        app = Starlette(routes=[Mount("/admin/v1", routes=routes(lambda _: office))])
        with TestClient(app, base_url="https://gateway") as client:
            yield Desk(house, directory, client, *keys)


def test_an_organisation_is_set_up_from_nothing(desk: Desk) -> None:
    new = {"slug": "new", "title": "New", "limits": "100 USD"}
    assert desk.good("POST", "/organisations", desk.owner, new)["account"] == "new"
    team = {"organisation": "new", "slug": "lab", "limits": "5 USD per day"}
    assert desk.good("POST", "/teams", desk.owner, team)["account"] == "new/lab"
    body = {"team": "new/lab", "name": "amy", "role": "admin", "models": ["tiny-*"]}
    key = desk.good("POST", "/keys", desk.owner, body)
    assert key["secret"].startswith("sk-bursar-")
    shown = desk.good("GET", f"/keys/{key['id']}", key["secret"])
    assert shown == {**{k: v for k, v in key.items() if k != "secret"}}
    assert desk.good("GET", "/session", key["secret"])["root"] == "new"
    (day,) = desk.good("GET", "/budgets/new/lab", key["secret"])["standings"]
    assert (day["resource"], day["window"], day["limit"], day["left"]) == ("usd", "day", 5.0, 5.0)
    rotated = desk.good("POST", f"/keys/{key['id']}/rotate", key["secret"], {"grace_s": 60})
    assert desk.good("GET", "/keys", rotated["secret"])["data"][0]["state"] == "live"
    changed = desk.good("PATCH", f"/keys/{key['id']}", key["secret"], {"priority": -1})
    assert (changed["priority"], changed["models"]) == (-1, ["tiny-*"])
    assert desk.good("PATCH", "/teams/new/lab", desk.owner, {"title": "Lab"})["title"] == "Lab"
    assert desk.good("DELETE", f"/keys/{key['id']}", desk.owner)["state"] == "revoked"
    assert desk.refused("GET", "/keys", rotated["secret"])[:2] == (401, "invalid_api_key")
    assert desk.good("DELETE", "/organisations/new", desk.owner)["closed_at"] is not None


def test_each_role_may_do_its_part(desk: Desk) -> None:
    new_key = {"team": "acme/research", "name": "x"}
    new_team = {"organisation": "acme", "slug": "x"}
    expected = {
        ("POST", "/organisations"): ({"slug": "x"}, (404, 404, 404, 201)),
        ("POST", "/teams"): (new_team, (404, 404, 201, 400)),
        ("POST", "/keys"): (new_key, (404, 403, 201, 400)),
        ("GET", "/organisations/acme"): (None, (404, 404, 200, 200)),
        ("GET", "/teams/acme/research"): (None, (404, 200, 200, 200)),
        ("GET", "/teams"): (None, (403, 200, 200, 200)),
        ("GET", "/organisations"): (None, (403, 403, 200, 200)),
        ("GET", "/keys"): (None, (200, 200, 200, 200)),
        ("GET", "/budgets"): (None, (200, 200, 200, 200)),
        ("GET", "/budgets/acme/research"): (None, (404, 200, 200, 200)),
        ("GET", "/usage"): (None, (200, 200, 200, 200)),
        ("GET", "/audit"): (None, (403, 403, 200, 200)),
        ("GET", "/webhooks"): (None, (403, 403, 200, 200)),
        ("PATCH", "/budgets/acme"): ({"limits": "1 USD"}, (404, 404, 403, 200)),
        ("PATCH", "/budgets/acme/sales"): ({"limits": "1 USD"}, (404, 404, 200, 200)),
    }
    for (method, path), (body, statuses) in expected.items():
        keys = (desk.member, desk.viewer, desk.admin, desk.owner)
        match = {"if-match": "*"} if method == "PATCH" else {}
        got = tuple(desk.ask(method, path, key, body, **match).status_code for key in keys)
        assert got == statuses, (method, path)
    assert desk.refused("GET", "/keys", "sk-bursar-nothing")[0] == 401


def test_nothing_of_another_organisation_is_in_any_answer(desk: Desk) -> None:
    secret = desk.good("POST", "/keys", desk.rival, {"team": "rival/ops", "name": "hidden"})
    hook = {"account": "rival", "url": "https://rival.example/hook"}
    made = desk.good("POST", "/webhooks", desk.rival, hook)
    (hold,) = desk.house.ledger.reserve("rival/ops/hidden/user", [Usage(usd=0.5)])
    desk.house.ledger.settle({hold: Usage(usd=0.5)})
    lists = ("/organisations", "/teams", "/keys", "/budgets", "/usage", "/audit", "/webhooks")
    queries = ("", "?under=rival", "?under=rival/ops", "?depth=4", "?limit=200")
    for path in [f"{path}{query}" for path in lists for query in queries]:
        answer = desk.ask("GET", path, desk.admin)
        assert answer.status_code == 200
        assert "rival" not in answer.text, path
        assert "hidden" not in answer.text, path
    for method, path, body in (
        ("GET", "/organisations/rival", None),
        ("GET", "/teams/rival/ops", None),
        ("DELETE", "/teams/rival/ops", None),
        ("GET", f"/keys/{secret['id']}", None),
        ("PATCH", f"/keys/{secret['id']}", {"models": ["x"]}),
        ("POST", f"/keys/{secret['id']}/rotate", {}),
        ("DELETE", f"/keys/{secret['id']}", None),
        ("GET", "/budgets/rival", None),
        ("GET", "/budgets/rival/ops/hidden/user", None),
        ("PATCH", "/budgets/rival/ops", {"limits": ""}),
        ("DELETE", f"/webhooks/{made['id']}", None),
        ("POST", "/webhooks", {"account": "rival", "url": "https://acme.example"}),
    ):
        status, code, _ = desk.refused(method, path, desk.admin, body, **{"if-match": "*"})
        assert (status, code) == (404, "not_found"), (method, path)


def test_an_edit_of_a_budget_needs_the_version_that_was_read(desk: Desk) -> None:
    path = "/budgets/acme/research"
    read = desk.ask("GET", path, desk.admin)
    etag = read.headers["etag"]
    assert desk.refused("PATCH", path, desk.admin, {"limits": "1 USD"})[0] == 428
    edit = {"limits": "2 USD", "thresholds": [0.8, 0.5]}
    edited = desk.ask("PATCH", path, desk.admin, edit, **{"if-match": etag})
    assert edited.json()["thresholds"] == [0.5, 0.8]
    lost = desk.refused("PATCH", path, desk.admin, {"limits": "9 USD"}, **{"if-match": etag})
    assert lost[:2] == (412, "precondition_failed")
    again = {"if-match": edited.headers["etag"]}
    assert desk.good("PATCH", path, desk.admin, {"limits": ""}, **again)["standings"] == []
    assert desk.refused("PATCH", path, desk.admin, {}, **{"if-match": "x"})[0] == 412


def test_bad_bodies_and_queries_are_refused_with_a_remedy(desk: Desk) -> None:
    for method, path, body, says in (
        ("POST", "/teams", {"organisation": "acme", "slug": "x", "color": "red"}, "color"),
        ("POST", "/teams", {"organisation": "acme"}, "slug: Field required"),
        ("POST", "/teams", [], "Send a JSON object with slug"),
        ("POST", "/keys", {"team": "acme/research", "name": 5}, "name: Input should be"),
        ("POST", "/keys", {"team": "acme", "name": "x"}, "write organisation/team"),
        ("POST", "/keys", {"team": "acme/research", "name": "x", "priority": "1"}, "priority"),
        ("PATCH", "/budgets/acme/research", {"limits": "5 parsecs"}, "unknown unit 'parsecs'"),
        ("PATCH", "/budgets/acme/research", {"thresholds": [2]}, "thresholds"),
        ("GET", "/keys?limit=0", None, "limit is '0'"),
        ("GET", "/keys?limit=x", None, "limit is 'x'"),
        ("GET", "/audit?after=-1", None, "after is '-1'"),
        ("POST", "/webhooks", {"account": "acme", "url": "http://x.org"}, "https://example.org"),
    ):
        status, code, message = desk.refused(method, path, desk.admin, body, **{"if-match": "*"})
        assert (status, code) == (400, "invalid_request"), path
        assert says in message
    raw = {"authorization": f"Bearer {desk.admin}", "content-type": "application/json"}
    send = desk.client.post
    assert send("/admin/v1/teams", headers=raw, content=b"{").status_code == 400
    assert send("/admin/v1/teams", headers=raw, content=b"\xff\xfe").status_code == 400
    assert send("/admin/v1/teams", headers=raw, content=b" " * 200_000).status_code == 413
    assert send("/admin/v1/teams", headers={**raw, "content-type": "text/plain"}).status_code == 415


def test_pages_are_followed_by_their_next(desk: Desk) -> None:
    for path in ("/keys", "/teams", "/audit"):
        seen: list[str] = []
        after = ""
        while True:
            page = desk.good("GET", f"{path}?limit=2&after={after}", desk.owner)
            seen += [str(one.get("seq", one.get("account"))) for one in page["data"]]
            if not page["has_more"]:
                break
            after = page["next"]
        whole = desk.good("GET", f"{path}?limit=200", desk.owner)["data"]
        assert seen == [str(one.get("seq", one.get("account"))) for one in whole]
        assert len(seen) >= 3


def test_usage_is_shown_level_by_level(desk: Desk) -> None:
    (hold,) = desk.house.ledger.reserve("acme/research/bob", [Usage(usd=0.5, tokens_in=10)])
    desk.house.ledger.settle({hold: Usage(usd=0.25, tokens_in=7)})
    for query, account in (
        ("", "acme"),
        ("?under=acme", "acme/research"),
        ("?under=acme/research", "acme/research/bob"),
        ("?depth=3", "acme/research/bob"),
    ):
        (shown,) = desk.good("GET", f"/usage{query}", desk.admin)["data"]
        assert shown["account"] == account
        assert (shown["spent"]["usd"], shown["spent"]["tokens_in"]) == (0.25, 7.0)


def login(desk: Desk, key: str) -> Any:
    return desk.client.post("/admin/v1/session", json={"key": key})


def test_a_session_stands_for_its_key(desk: Desk) -> None:
    answer = login(desk, desk.admin)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-bursar=")
    assert all(part in cookie for part in ("HttpOnly", "SameSite=Strict", "Secure", "Path=/"))
    assert desk.admin not in answer.text + cookie
    client, token = desk.client, answer.json()["csrf"]
    assert client.get("/admin/v1/session").json() == answer.json()
    assert {k["organisation"] for k in client.get("/admin/v1/keys").json()["data"]} == {"acme"}
    team = {"organisation": "acme", "slug": "new"}
    for headers in ({}, {CSRF_HEADER: "x"}, {CSRF_HEADER: "é".encode()}):
        assert client.post("/admin/v1/teams", json=team, headers=headers).status_code == 403
    done = client.post("/admin/v1/teams", json=team, headers={CSRF_HEADER: token})
    assert done.status_code == 201
    gone = client.delete("/admin/v1/session", headers={CSRF_HEADER: token})
    assert "Max-Age=0" in gone.headers["set-cookie"]
    assert client.get("/admin/v1/keys").status_code == 401


def test_a_session_ends_with_its_key_and_its_hour(desk: Desk) -> None:
    login(desk, desk.admin)
    key_id = desk.client.get("/admin/v1/session").json()["key"]
    desk.good("POST", f"/keys/{key_id}/rotate", desk.owner, {"grace_s": 60})
    desk.directory.refresh()
    assert desk.client.get("/admin/v1/keys").status_code == 200
    desk.house.clock.now += 60
    assert desk.client.get("/admin/v1/keys").status_code == 401
    login(desk, desk.viewer)
    desk.house.clock.now += 3599
    assert desk.client.get("/admin/v1/keys").status_code == 200
    desk.house.clock.now += 1
    assert desk.client.get("/admin/v1/keys").status_code == 401


def test_a_forged_cookie_opens_nothing(desk: Desk) -> None:
    login(desk, desk.viewer)
    (cookie,) = desk.client.cookies.jar
    value = str(cookie.value)
    digest, ends_at, mac = value.split(".")
    for forged in (
        "",
        ".",
        "..",
        f"{digest}.{int(ends_at) + 1}.{mac}",
        f"{digest[::-1]}.{ends_at}.{mac}",
        f"{digest}.{ends_at}.{mac[::-1]}",
        f"{digest}.{ends_at}",
    ):
        desk.client.cookies.clear()
        headers = {"cookie": f"__Host-bursar={forged}"}
        assert desk.client.get("/admin/v1/keys", headers=headers).status_code == 401
    headers = {"cookie": f"__Host-bursar={value}"}
    assert desk.client.get("/admin/v1/keys", headers=headers).status_code == 200


def test_logins_are_limited(desk: Desk) -> None:
    statuses = [login(desk, "sk-bursar-guess").status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    assert int(login(desk, desk.admin).headers["retry-after"]) <= 60
    desk.house.clock.now += 60
    assert login(desk, desk.admin).status_code == 201


def test_a_page_of_another_site_changes_nothing_even_without_keys(desk: Desk) -> None:
    office = Office(
        desk.house.tenants,
        OpenDoor(),
        Sessions(OpenDoor(), SECRET),
        Webhooks(desk.house.tenants.database, SECRET),
    )
    app = Starlette(routes=[Mount("/admin/v1", routes=routes(lambda _: office))])
    with TestClient(app) as client:
        body = {"organisation": "acme", "slug": "evil"}
        site = {"sec-fetch-site": "cross-site"}
        assert client.post("/admin/v1/teams", json=body, headers=site).status_code == 403
        assert client.delete("/admin/v1/teams/acme/sales", headers=site).status_code == 403
        form = {"content-type": "text/plain"}
        assert client.post("/admin/v1/teams", content=b"{}", headers=form).status_code == 415
        assert client.get("/admin/v1/session").json()["role"] == "owner"
        assert client.post("/admin/v1/teams", json=body).status_code == 201
