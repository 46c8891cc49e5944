"""Without keys, other sites' pages may not ask; and the gateway's own secret."""

import stat

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from bursar.errors import BadInput
from bursar.gateway.config import Config
from bursar.gateway.local_only import LocalOnly
from bursar.gateway.own_secret import own_secret


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "127.0.0.1:4000"}, 200),
        ({"host": "localhost"}, 200),
        ({"host": "[::1]:4000"}, 200),
        ({"host": "localhost", "origin": "http://localhost:4000"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "localhost", "origin": "https://evil.example"}, 403),
        ({"host": "localhost", "origin": "null"}, 403),
        ({"host": "localhost", "origin": "http://[bad"}, 403),
    ],
)
def test_only_this_machines_pages_may_ask(headers, status) -> None:
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("yes"))])
    reply = TestClient(LocalOnly(app)).get("/", headers=headers)
    assert reply.status_code == status
    if status == 403:
        assert 'set access.keys to "required"' in reply.json()["error"]["message"]


def configured(place: str, variable: str = "") -> Config:
    return Config.model_validate({"ledger": {"place": place}, "access": {"secret_env": variable}})


def test_a_secret_is_made_once_and_is_private(tmp_path) -> None:
    place = str(tmp_path / "gateway.sqlite")
    made = own_secret(configured(place))
    assert len(made) >= 32
    assert own_secret(configured(place)) == made
    (file,) = tmp_path.glob("*.secret")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_shared_database_needs_a_shared_secret(monkeypatch) -> None:
    place = "postgresql://bursar@db/bursar"
    with pytest.raises(BadInput, match="the same for every gateway"):
        own_secret(configured(place))
    monkeypatch.setenv("OWN", "short")
    with pytest.raises(BadInput, match="32 or more") as refused:
        own_secret(configured(place, "OWN"))
    assert "short" not in str(refused.value)
    monkeypatch.setenv("OWN", "x" * 32)
    assert own_secret(configured(place, "OWN")) == b"x" * 32
