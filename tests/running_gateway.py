"""A gateway on a free port, in a thread of the test's process, before a counting upstream."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from bursar.gateway.app import make_app
from bursar.gateway.config import Config
from bursar.gateway.opening import Gateway
from bursar.gateway.record import Record
from bursar.gateway.upstream.breaker import Breaker, BreakerSettings
from counting_upstream import CountingUpstream

PRICE = {"usd_per_mtok_in": 1.0, "usd_per_mtok_out": 2.0}


@dataclass
class Running:
    """A gateway, what is behind it, and a client for it."""

    url: str
    gateway: Gateway
    upstream: CountingUpstream
    client: httpx.Client
    records: list[Record] = field(default_factory=list)
    bills: list[dict[str, Any]] = field(default_factory=list)
    """Of replies that `post` and `stream` have read."""
    before: tuple[int, int] = (0, 0)
    """What was spent before `start`."""

    def start(self) -> None:
        """Counts anew from here, and with upstreams of which nothing bad is known."""
        for model in self.gateway.counter.desk.models.values():
            for seat in model.upstream.pool._places.seats:
                seat.breaker = Breaker(BreakerSettings(10**6))
        self.before = (0, 0)
        self.before = self.spent()
        self.upstream.made.clear()
        self.records.clear()
        self.bills.clear()

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        shown = {name.replace("_", "-"): value for name, value in headers.items()}
        response = self.client.post(f"/v1/{path}", json=body, headers=shown)
        if "bursar" in (document := response.json()):
            self.bills.append(document["bursar"])
        return response

    def chat(self, text: str = "why is that so", *, model: str = "m", within: str = "", **more):
        headers = {"x_bursar_budget": within} if within else {}
        messages = [{"role": "user", "content": text}]
        return self.post(
            "chat/completions", {"model": model, "messages": messages, **more}, **headers
        )

    def settled(self) -> None:
        """Waits until every hold is closed."""
        before = time.monotonic() + 10
        while self.gateway.ledger.open_holds() or self.gateway.counter.live:
            assert time.monotonic() < before, "a hold stays open"
            time.sleep(0.005)

    def spent(self, account: str = "local") -> tuple[int, int]:
        """(tokens in, tokens out) charged since `start`, by a ledger that can prove it."""
        self.settled()
        self.gateway.ledger.verify()
        spent = self.gateway.ledger.totals(account).spent
        return (
            int(spent.tokens_in or 0) - self.before[0],
            int(spent.tokens_out or 0) - self.before[1],
        )

    def billed(self) -> tuple[int, int]:
        """(tokens in, tokens out) of the bills that were read."""
        spent = [bill["spent"] for bill in self.bills]
        return tuple(int(sum(s.get(n, 0) for s in spent)) for n in ("tokens_in", "tokens_out"))

    def check_sums(self) -> None:
        """The ledger has what the upstream counted, and so have bills and records."""
        billed, spent = self.upstream.billed, self.spent()
        assert spent == billed
        assert self.billed() == billed
        recorded = [r.spent for r in self.records]
        assert sum(s.tokens_in or 0 for s in recorded) == billed[0]
        assert sum(s.tokens_out or 0 for s in recorded) == billed[1]


def config_for(upstream: str, folder: Path, **sections: Any) -> Config:
    """Two models at one upstream, "m" dearer than "small", and what `sections` say.

    Nothing is tried again, and no failure makes the next test's upstream rest.
    """
    once = {"retries": 0, "failures_to_pause": 10**6}
    at = [{"name": "mock", "url": upstream, "model": "big-1"}]
    models = [
        {"name": "m", **PRICE, **once, "context_tokens": 8000, "upstreams": at},
        {
            "name": "small",
            **once,
            "usd_per_mtok_in": 0.1,
            "usd_per_mtok_out": 0.2,
            "upstreams": [{**at[0], "model": "small-1"}],
        },
    ]
    return Config.model_validate(
        {
            "ledger": {"place": str(folder / "gateway.sqlite")},
            "requests": {"timeout_s": 20.0},
            "models": models,
            **sections,
        }
    )


@contextmanager
def running(
    config: Config, upstream: CountingUpstream, watched: Path | None = None
) -> Iterator[Running]:
    """Serves `config` until its end."""
    app = make_app(config, watched=watched)
    server = uvicorn.Server(
        uvicorn.Config(
            app, port=0, log_level="error", lifespan="on", loop="uvloop", http="httptools"
        )
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        before = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive(), "the gateway did not start"
            assert time.monotonic() < before
            time.sleep(0.002)
        port = server.servers[0].sockets[0].getsockname()[1]
        gateway: Gateway = app.state.gateway
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            found = Running(f"http://127.0.0.1:{port}", gateway, upstream, client)
            gateway.counter.listeners.append(found.records.append)
            yield found
            found.settled()
    finally:
        server.should_exit = True
        thread.join()
