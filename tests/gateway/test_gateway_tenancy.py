"""A gateway with keys: who may what, what happens near a limit, and after a change of its file."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from bursar.gateway.config import read_config
from bursar.gateway.tenants.actor import COMMAND_LINE
from bursar.gateway.tenants.keys import Rights
from counting_upstream import CountingUpstream, Say, obliging
from running_gateway import Running, config_for, running

ASK = {"messages": [{"role": "user", "content": "why"}], "max_tokens": 20}


@dataclass
class Team:
    """A running gateway with one team, and the keys made in it."""

    running: Running

    def key(self, name: str, limits: str = "", **rights) -> str:
        keys = self.running.gateway.office.tenants.keys
        can = Rights(**rights)
        _, secret = keys.create(COMMAND_LINE, "acme/research", name, can, limits=limits)
        self.running.gateway.counter.directory.refresh()  # else it may take a tenth of a second
        return secret

    def chat(self, key: str, model: str = "m", **more) -> httpx.Response:
        return self.running.client.post(
            "/v1/chat/completions",
            json={"model": model, **ASK, **more},
            headers={"Authorization": f"Bearer {key}"},
        )


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("team")
    with CountingUpstream() as upstream:
        config = config_for(
            upstream.base_url, folder, access={"keys": "required"}, near={"wait_s": 0.0}
        )
        with running(config, upstream) as found:
            teams = found.gateway.office.tenants.teams
            teams.create_organisation(COMMAND_LINE, "acme")
            teams.create_team(COMMAND_LINE, "acme", "research")
            yield Team(found)


def eventually(holds: Callable[[], bool]) -> None:
    before = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < before
        time.sleep(0.05)


def test_no_key_a_wrong_one_and_a_revoked_one_open_nothing(team: Team) -> None:
    assert team.running.client.post("/v1/chat/completions", json=ASK).status_code == 401
    assert team.chat("sk-bursar-nonsense").json()["error"]["code"] == "invalid_api_key"
    key = team.key("gone")
    assert team.chat(key).status_code == 200
    keys = team.running.gateway.office.tenants.keys
    (row,) = [k for k in keys.listed(COMMAND_LINE, most=100) if k.name == "gone"]
    keys.revoke(COMMAND_LINE, row.id)
    eventually(lambda: team.chat(key).status_code == 401)


def test_a_key_asks_only_the_models_it_may(team: Team) -> None:
    key = team.key("narrow", models=("small",))
    shown = team.running.client.get("/v1/models", headers={"Authorization": f"Bearer {key}"})
    assert [m["id"] for m in shown.json()["data"]] == ["small"]
    assert team.chat(key, "small").status_code == 200
    refused = team.chat(key, "m")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "permission_denied")
    assert team.chat(key, "self_consistency:m").status_code == 403


def test_a_limit_of_a_period_is_429_and_says_when_and_which(team: Team) -> None:
    key = team.key("daily", "0.0003 USD per day")
    assert team.chat(key).status_code == 200
    eventually(lambda: team.chat(key).status_code == 429)
    error = team.chat(key).json()["error"]
    assert error["code"] == "budget_exceeded"
    assert error["bursar"]["scope"] == "acme/research/daily"
    assert (error["bursar"]["resource"], error["bursar"]["window"]) == ("usd", "day")
    reply = team.chat(key)
    assert 0 < int(reply.headers["retry-after"]) <= 86_400
    assert reply.headers["x-should-retry"] == "false"


def test_a_limit_on_requests_per_minute(team: Team) -> None:
    key = team.key("slow", "2 requests per minute")
    statuses = [team.chat(key).status_code for _ in range(4)]
    assert statuses in ([200, 200, 429, 429], [200, 200, 200, 429])  # a minute may end between


async def test_of_fifty_calls_at_once_as_many_are_served_as_the_limit_covers(team: Team) -> None:
    bound = team.chat(team.key("measure")).json()["bursar"]["allowed"]["usd"]
    key = team.key("rush", f"{5.5 * bound:.9f} USD")
    team.running.upstream.say = lambda body: Say("slow", first_s=1.0)
    headers = {"Authorization": f"Bearer {key}"}
    limits = httpx.Limits(max_connections=50)
    async with httpx.AsyncClient(
        base_url=team.running.url, headers=headers, timeout=30, limits=limits
    ) as client:
        asked = [client.post("/v1/chat/completions", json={"model": "m", **ASK}) for _ in range(50)]
        statuses = [reply.status_code for reply in await asyncio.gather(*asked)]
    team.running.upstream.say = obliging
    assert (statuses.count(200), statuses.count(402)) == (5, 45)
    (account,) = team.running.gateway.ledger.accounts(["acme/research/rush"])
    assert (account.spent.usd or 0) <= 5.5 * bound
    assert account.held.usd == 0


def test_near_a_limit_the_cheaper_model_answers(team: Team) -> None:
    key = team.key("frugal", "0.0006 USD per day", degrade={"m": "small"})
    replies = [team.chat(key)]

    def cheaper() -> bool:
        replies.append(team.chat(key))
        return replies[-1].json()["model"] == "small-1"

    eventually(cheaper)
    assert replies[0].json()["model"] == "big-1"
    assert all(reply.status_code == 200 for reply in replies)
    assert "small in place of m" in replies[-1].json()["bursar"]["notes"][0]


def test_near_a_limit_a_strategy_gets_less(team: Team) -> None:
    key = team.key("thinker", "5000 tokens per day")
    usual = team.chat(key, "self_consistency:m").json()["bursar"]
    assert len(usual["calls"]) == 8

    def fewer() -> bool:
        bill = team.chat(key, "self_consistency:m").json().get("bursar", {})
        return len(bill.get("calls", ())) == 4 and "50%" in bill["notes"][0]

    eventually(fewer)


def test_every_user_of_a_key_has_the_limits_it_gives(team: Team) -> None:
    key = team.key("shop", user_limits="1 requests")
    assert team.chat(key, user="ann").status_code == 200
    refused = team.chat(key, user="ann")
    assert refused.status_code == 402
    assert refused.json()["error"]["bursar"]["scope"] == "acme/research/shop/ann"
    assert team.chat(key, user="bob").status_code == 200
    assert team.chat(key).status_code == 200


def test_metrics_are_the_owners(team: Team) -> None:
    member, owner = team.key("member"), team.key("owner", role="owner")
    for key, status in ((member, 403), (owner, 200)):
        headers = {"Authorization": f"Bearer {key}"}
        assert team.running.client.get("/metrics", headers=headers).status_code == status


def test_models_follow_the_configurations_file(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"

    def write(*names: str, more: str = "") -> None:
        models = "".join(
            f'[[models]]\nname = "{name}"\nusd_per_mtok_in = 1\nusd_per_mtok_out = 1\n'
            f'[[models.upstreams]]\nurl = "{upstream.base_url}"\n'
            for name in names
        )
        place = tmp_path / "gateway.sqlite"
        path.write_text(f'[ledger]\nplace = "{place}"\n{models}{more}')

    with CountingUpstream() as upstream:
        write("one")
        with running(read_config(path), upstream, watched=path) as found:

            def names() -> list[str]:
                return [m["id"] for m in found.client.get("/v1/models").json()["data"]]

            assert names() == ["one"]
            kept = found.gateway.counter.desk.models["one"]
            write("one", "two")
            eventually(lambda: names() == ["one", "two"])
            assert found.gateway.counter.desk.models["one"] is kept
            assert found.chat(model="two").status_code == 200
            write("two", more="[server]\nport = 'x'\n")
            time.sleep(1.5)
            assert names() == ["one", "two"]
            write("two")
            eventually(lambda: names() == ["two"])
            assert found.chat(model="one").status_code == 404
            found.check_sums()
