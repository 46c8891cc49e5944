"""The OpenAPI document names every route; what it allows, and what not, never ends in a 500."""

import re

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from starlette.routing import Mount, Route

from bursar.gateway.app import make_app
from bursar.gateway.config import built_in
from bursar.gateway.openapi import openapi
from bursar.gateway.tenants.actor import Actor
from bursar.gateway.tenants.keys import Rights
from counting_upstream import CountingUpstream
from running_gateway import config_for, running

OPERATOR = Actor("command line", "owner", "")
SERVER_S = 20.0


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with CountingUpstream() as upstream:
        folder = tmp_path_factory.mktemp("fuzzed")
        config = config_for(upstream.base_url, folder, access={"keys": "required"})
        with running(config, upstream) as found:
            tenants = found.gateway.office.tenants
            tenants.teams.create_organisation(OPERATOR, "org")
            tenants.teams.create_team(OPERATOR, "org", "team")
            yield found


def all_routes(routes, prefix=""):
    """(method, path) of each."""
    for route in routes:
        if isinstance(route, Mount):
            yield from all_routes(route.routes, prefix + route.path)
        elif isinstance(route, Route):
            path = re.sub(r"\{(\w+):\w+\}", r"{\1}", prefix + route.path)
            yield from ((method, path) for method in (route.methods or ()) if method != "HEAD")


def test_every_route_is_in_the_document(gateway):
    shown = gateway.client.get("/openapi.json").json()
    assert shown == openapi()
    told = {(m.upper(), path) for path, item in shown["paths"].items() for m in item}
    routes = set(all_routes(make_app(built_in()).routes))
    seen = {(m, p) for m, p in told if p.startswith("/admin/v1/seen/")}
    assert {(m, p) for m, p in routes if not p.startswith("/dashboard")} == told - seen
    for _, path in seen:
        assert gateway.client.get(path).status_code != 404


@pytest.mark.slow
@pytest.mark.parametrize("role", ["member", "owner"])
def test_nothing_that_is_sent_ends_in_a_500(gateway, role):
    keys = gateway.gateway.office.tenants.keys
    _, key = keys.create(OPERATOR, "org/team", f"key-{role}", Rights(role=role))
    schema = schemathesis.openapi.from_dict(openapi())
    statuses = set()

    def check(operation, mode):
        @settings(
            max_examples=8,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def one(case):
            case.headers = {**(case.headers or {}), "authorization": f"Bearer {key}"}
            response = case.call(base_url=gateway.url, timeout=SERVER_S)
            statuses.add(response.status_code)
            assert response.status_code not in (500, 501, 503), response.text
            if response.status_code >= 400:
                assert set(response.json()["error"]) >= {"message", "type", "code"}

        one()

    for found in schema.get_all_operations():
        operation = found.ok()
        check(operation, GenerationMode.POSITIVE)
        if operation.body or operation.query or operation.path_parameters:
            check(operation, GenerationMode.NEGATIVE)
    gateway.settled()
    assert {200, 400, 404} <= statuses
