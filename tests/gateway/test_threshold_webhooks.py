"""Soft thresholds: a crossing is written once, delivered, and only to public places."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from sqlalchemy import select
from tenants_at import OWNER, House

from bursar.errors import BadInput
from bursar.gateway.duty import keep_up
from bursar.gateway.principal import Denied
from bursar.gateway.tenants.budgets import Budgets
from bursar.gateway.tenants.courier import Courier, is_public
from bursar.gateway.tenants.schema import DELIVERIES
from bursar.gateway.tenants.watch import Watch
from bursar.gateway.tenants.webhooks import MOST_ATTEMPTS, Webhooks
from bursar.usage import Usage

SECRET = b"0123456789abcdef0123456789abcdef"
EIGHT = [i / 10 for i in range(1, 9)]
ALLOWED = frozenset({"127.0.0.1"})


def worker(house: House) -> tuple[Watch, Webhooks]:
    """What one worker process has."""
    database = house.database()
    budgets = Budgets(database, house.ledger, clock=house.clock)
    hooks = Webhooks(database, SECRET, insecure=True, clock=house.clock)
    return Watch(database, house.ledger, budgets, clock=house.clock), hooks


def spend(house: House, account: str, usd: float) -> None:
    (hold,) = house.ledger.reserve(account, [Usage(usd=usd)])
    house.ledger.settle({hold: Usage(usd=usd)})


def deliveries(house: House) -> list[dict[str, Any]]:
    with house.tenants.database.read() as connection:
        query = select(DELIVERIES).order_by(DELIVERIES.c.id)
        return [dict(row) for row in connection.execute(query).mappings()]


def told(house: House) -> list[tuple[str, float, float]]:
    bodies = [json.loads(row["body"]) for row in deliveries(house)]
    return [(b["account"], b["threshold"], b["limit"]) for b in bodies]


def test_each_crossing_is_written_once_by_whoever_sees_it(house: House) -> None:
    house.tenants.budgets.edit(OWNER, "acme/research", limits="1 USD", thresholds=[0.5, 0.8])
    house.key("acme/research", "alice")
    workers = [worker(house) for _ in range(3)]
    workers[0][1].create(OWNER, "acme", "https://example.org/hook")
    workers[0][1].create(OWNER, "acme/sales", "https://example.org/other")
    spend(house, "acme/research/alice", 0.49)
    assert [watch.look() for watch, _ in workers] == [0, 0, 0]
    spend(house, "acme/research/alice", 0.01)
    assert [watch.look() for watch, _ in workers] == [1, 0, 0]
    spend(house, "acme/research/alice", 0.4)
    with ThreadPoolExecutor(3) as threads:
        assert sum(threads.map(lambda w: w[0].look(), workers)) == 1
    assert told(house) == [("acme/research", 0.5, 1.0), ("acme/research", 0.8, 1.0)]
    house.tenants.budgets.edit(OWNER, "acme/research", limits="1.5 USD")
    assert sum(watch.look() for watch, _ in workers) == 1
    assert told(house)[2:] == [("acme/research", 0.5, 1.5)]


@pytest.mark.parametrize("window", ["day", "rolling 24 h"])
def test_a_new_period_is_crossed_anew(house: House, window: str) -> None:
    house.tenants.budgets.edit(OWNER, "acme", limits=f"1 USD per {window}", thresholds=[0.5])
    watch, hooks = worker(house)
    hooks.create(OWNER, "acme", "https://example.org/hook")
    for expected in (1, 1):
        spend(house, "acme", 0.6)
        assert watch.look() == expected
        assert watch.look() == 0
        house.clock.now += 25 * 3600.0
        assert watch.look() == 0
    (standing,) = watch.standings("acme/research/alice/bob")
    assert (standing.spent, standing.window) == (0.0, window)


def test_standings_are_those_of_an_account_and_all_above_it(house: House) -> None:
    house.tenants.budgets.edit(OWNER, "acme", limits="2 USD, 5 requests per minute")
    house.tenants.budgets.edit(OWNER, "acme/research", limits="1 USD")
    house.tenants.budgets.edit(OWNER, "acme/sales", limits="7 USD")
    watch, _ = worker(house)
    assert watch.standings("acme/research") == ()
    watch.look()
    limits = [(s.resource, s.limit) for s in watch.standings("acme/research/alice")]
    assert limits == [("usd", 1.0), ("usd", 2.0), ("requests", 5.0)]
    assert watch.standings("rival/ops") == ()


def test_one_worker_claims_a_delivery_and_after_it_died_another(house: House) -> None:
    house.tenants.budgets.edit(OWNER, "acme", limits="1 USD", thresholds=EIGHT)
    workers = [worker(house) for _ in range(4)]
    workers[0][1].create(OWNER, "acme", "https://example.org/hook")
    spend(house, "acme", 0.85)
    assert workers[0][0].look() == 8
    with ThreadPoolExecutor(4) as threads:
        claims = list(threads.map(lambda w: w[1].claim(10), workers))
    ids = [delivery.id for claim in claims for delivery in claim]
    assert len(ids) == len(set(ids)) == 8
    house.clock.now += 61
    again = workers[1][1].claim(10)
    assert {d.id for d in again} == set(ids)
    assert {d.attempts for d in again} == {2}


def test_what_fails_is_tried_again_later_and_given_up_in_the_end(house: House) -> None:
    house.tenants.budgets.edit(OWNER, "acme", limits="1 USD", thresholds=[0.5])
    watch, hooks = worker(house)
    hooks.create(OWNER, "acme", "https://example.org/hook")
    spend(house, "acme", 0.5)
    watch.look()
    waits = []
    while True:
        (delivery,) = hooks.claim(10)
        hooks.done(delivery, False, "status 500")
        assert hooks.claim(10) == []
        (row,) = deliveries(house)
        if row["done_at"] is not None:
            break
        waits.append(row["due_at"] - house.clock.now)
        house.clock.now = row["due_at"]
    assert waits[:4] == [5.0, 10.0, 20.0, 40.0]
    assert max(waits) == 3600.0
    assert (len(waits), row["delivered"], row["said"]) == (MOST_ATTEMPTS - 1, False, "status 500")


def test_webhooks_are_their_organisations(house: House) -> None:
    _, hooks = worker(house)
    admin = house.actor("acme/research", "root", "admin")
    member = house.actor("acme/research", "me", "member")
    theirs, _ = hooks.create(OWNER, "rival", "https://example.org/hook")
    mine, secret = hooks.create(admin, "acme/research", "https://example.org/hook")
    assert [hook.id for hook in hooks.listed(admin)] == [mine.id]
    assert hooks.secret_of(theirs.id) != secret
    for action in (
        lambda: hooks.create(admin, "rival", "https://example.org/hook"),
        lambda: hooks.remove(admin, theirs.id),
        lambda: hooks.create(member, "acme/research/me", "https://example.org/hook"),
        lambda: hooks.remove(member, mine.id),
    ):
        with pytest.raises(Denied):
            action()
    hooks.remove(admin, mine.id)
    assert [hook.id for hook in hooks.listed(OWNER)] == [theirs.id]


BAD_URLS = (
    "http://example.org/hook",
    "ftp://example.org",
    "//example.org",
    "example.org",
    "https://",
    "https://user:pass@example.org",
    "https://exa mple.org",
    "https://example.org\n",
    "https://[::1",
    "https://example.org:99999",
    "file:///etc/passwd",
)


def test_a_url_must_be_absolute_and_https(house: House) -> None:
    hooks = Webhooks(house.tenants.database, SECRET)
    for url in BAD_URLS:
        with pytest.raises(BadInput, match="can't be a webhook"):
            hooks.create(OWNER, "acme", url)


@dataclass
class Receiver:
    """A server that receives webhooks, and answers with `status`."""

    port: int = 0
    status: int = 200
    location: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def hook(self, request: web.Request) -> web.Response:
        self.got.append(({k.lower(): v for k, v in request.headers.items()}, await request.read()))
        headers = {"location": self.location} if self.location else {}
        return web.Response(status=self.status, headers=headers)


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    app = web.Application()
    app.router.add_post("/hook", found.hook)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.port = runner.addresses[0][1]
    yield found
    await runner.cleanup()


@dataclass
class Names(AbstractResolver):
    """A name server under somebody's control."""

    address: str

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host=self.address, port=port, family=family, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        pass


def crossed(house: House, url: str) -> tuple[Watch, Webhooks, str]:
    """A crossing that waits for its delivery to `url`."""
    house.tenants.budgets.edit(OWNER, "acme", limits="1 USD", thresholds=[0.5])
    watch, hooks = worker(house)
    _, secret = hooks.create(OWNER, "acme", url)
    spend(house, "acme", 0.6)
    watch.look()
    return watch, hooks, secret


async def test_a_delivery_is_signed_and_made_once(house: House) -> None:
    async with receiver() as server:
        _, hooks, secret = crossed(house, f"http://127.0.0.1:{server.port}/hook")
        courier = Courier(hooks, allowed=ALLOWED, clock=house.clock)
        assert [await courier.deliver(), await courier.deliver()] == [1, 0]
        ((headers, body),) = server.got
        signed = f"{int(house.clock.now)}.".encode() + body
        mac = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        assert headers["bursar-signature"] == f"t={int(house.clock.now)},v1={mac}"
        document = json.loads(body)
        assert (document["account"], document["spent"], document["threshold"]) == ("acme", 0.6, 0.5)
        (row,) = deliveries(house)
        assert (row["delivered"], row["done_at"]) == (True, house.clock.now)


async def test_a_redirect_is_not_followed_and_an_error_is_tried_again(house: House) -> None:
    async with receiver() as server, receiver() as inside:
        _, hooks, _ = crossed(house, f"http://127.0.0.1:{server.port}/hook")
        courier = Courier(hooks, allowed=ALLOWED, clock=house.clock)
        for status, said in ((307, "status 307"), (500, "status 500"), (200, "status 200")):
            server.status = status
            server.location = f"http://127.0.0.1:{inside.port}/hook" if status == 307 else ""
            assert await courier.deliver() == 1
            (row,) = deliveries(house)
            assert (row["said"], row["delivered"]) == (said, status == 200)
            house.clock.now += 100
        assert inside.got == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "inside.example", "[::ffff:127.0.0.1]"])
async def test_private_places_are_not_connected_to(house: House, host: str) -> None:
    async with receiver() as server:
        _, hooks, _ = crossed(house, f"http://{host}:{server.port}/hook")
        courier = Courier(hooks, resolver=lambda: Names("127.0.0.1"), clock=house.clock)
        assert await courier.deliver() == 1
        (row,) = deliveries(house)
        assert "not a public address" in row["said"]
        assert server.got == []


def test_which_addresses_are_public() -> None:
    private = """127.0.0.1 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0
        224.0.0.1 255.255.255.255 240.0.0.1 ::1 :: fe80::1 fe80::1%eth0 fc00::1 ff02::1
        ::ffff:10.0.0.1 64:ff9b::a00:1 2002:a00:1:: 2001:0:1::1 2001:db8::1 192.0.2.1"""
    assert [address for address in private.split() if is_public(address)] == []
    assert all(is_public(address) for address in ("1.1.1.1", "8.8.8.8", "2606:4700:4700::1111"))


async def test_telling_goes_on_after_the_database_was_away(house: House) -> None:
    async with receiver() as server:
        watch, hooks, _ = crossed(house, f"http://127.0.0.1:{server.port}/hook")
        looks = 0

        def look() -> int:
            nonlocal looks
            looks += 1
            if looks == 1:
                raise BadInput("the ledger can't be used")
            return watch.look()

        courier = Courier(hooks, allowed=ALLOWED, clock=house.clock)
        duties = (keep_up("no look", look, 0.01), keep_up("no delivery", courier.deliver, 0.01))
        telling = asyncio.gather(*duties)
        async with asyncio.timeout(10):
            while not server.got:
                await asyncio.sleep(0.01)
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling
        assert len(server.got) == 1
