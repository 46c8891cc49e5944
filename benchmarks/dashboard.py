"""The dashboard with a million requests behind it: queries, first paint and first figures.

Makes a database of as many made-up requests as asked, measures each query of the dashboard, then
serves it and opens it in headless Chromium, each time with an empty cache.

    python benchmarks/dashboard.py [--requests 1000000] [--rounds 5] [--place FILE] [--json]
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from machine import cpu
from playwright.sync_api import sync_playwright
from sqlalchemy import func, select
from starlette.applications import Starlette

from bursar.gateway.dashboard.pages import dashboard_routes
from bursar.gateway.principal import OpenDoor
from bursar.gateway.record import Record
from bursar.gateway.seen.frame import RANGES, Frame
from bursar.gateway.seen.journal import Journal
from bursar.gateway.seen.look import Look
from bursar.gateway.seen.metrics import Metrics
from bursar.gateway.seen.tables import DAYS, HOURS, REQUESTS
from bursar.gateway.seen.views import Views
from bursar.usage import Usage

RESULTS = Path(__file__).parent / "results" / "dashboard.json"
CHROMIUM = "/usr/bin/chromium"
OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PAINTED = """() => ({
  first_paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
  figures_drawn: performance.getEntriesByName("bursar-drawn")[0].startTime,
})"""


def requests(count: int, now: float) -> Iterator[Record]:
    """Of 20 teams with 5 keys each, 5 models and 2 strategies, evenly over 30 days."""
    draw = random.Random(7)
    for i in range(count):
        team, usd, ok = draw.randrange(20), draw.lognormvariate(-6, 1.2), draw.random() < 0.97
        yield Record(
            request_id=f"req-{i}",
            began_at=now - 30 * 86400 * (1 - i / count),
            account=f"org{team // 7}/team{team}/key{draw.randrange(5)}",
            key_id="key",
            endpoint="chat/completions",
            model=f"model{team % 5}",
            served_by=f"model{draw.randrange(5)}@upstream" if ok else "",
            strategy=draw.choice(("direct", "best_of_n")),
            status=200 if ok else 429,
            error="" if ok else "rate_limited",
            seconds=draw.lognormvariate(0, 0.8),
            first_token_s=0.2,
            queued_s=0.01,
            calls=3 if ok else 0,
            spent=Usage(tokens_in=100, tokens_out=200, usd=usd) if ok else Usage.zero(),
            allowed=Usage(tokens_in=100, tokens_out=900, usd=2 * usd),
            saved_usd=usd,
            estimated=False,
            streamed=True,
            hold=i,
        )


class Quiet:
    """Nothing runs, nothing is limited."""

    def budgets(self, root: str) -> Sequence[Any]:
        return []

    def price(self) -> Mapping[str, float]:
        return {}

    def upstreams(self) -> Sequence[Mapping[str, Any]]:
        return []

    def running(self) -> Sequence[Mapping[str, Any]]:
        return []


def milliseconds(act: Callable[[], object], rounds: int) -> dict[str, float]:
    """How long `act` takes (median, best) and computes (median): other programs may run beside."""
    took, computed = [], []
    for _ in range(rounds):
        began, used = time.perf_counter(), time.process_time()
        act()
        took.append(1e3 * (time.perf_counter() - began))
        computed.append(1e3 * (time.process_time() - used))
    return {
        "wall": round(statistics.median(took), 1),
        "best": round(min(took), 1),
        "CPU": round(statistics.median(computed), 1),
    }


def queries(look: Look, now: float, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each query the page makes, by range and by whose eyes it has."""
    found: dict[str, dict[str, float]] = {}
    for span in RANGES:
        for who, root in (("owner", ""), ("admin", "org1"), ("viewer", "org1/team8")):
            frame = Frame(root, span, now=now)
            asked = {
                "sums": partial(look.overview, frame, "usd"),
                "dearest": partial(look.top, frame, "dearest"),
                "slowest": partial(look.top, frame, "slowest"),
                "latest": partial(look.latest, frame),
            }
            for name, query in asked.items():
                found[f"{span}, {who}: {name}"] = milliseconds(query, rounds)
    return found


def paints(address: str, rounds: int) -> dict[str, float]:
    """Median milliseconds from navigation to first contentful paint, and to the figures."""
    times: list[dict[str, float]] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        for _ in range(rounds):
            page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
            page.goto(f"{address}/dashboard/")
            page.wait_for_selector("#dearest tbody tr")
            times.append(page.evaluate(PAINTED))
            page.context.close()
        version = browser.version
        browser.close()
    found = {n: round(statistics.median(t[n] for t in times), 1) for n in times[0]}
    worst = {f"{n}, worst": round(max(t[n] for t in times), 1) for n in times[0]}
    return {**found, **worst, "chromium": version}


def per_record(place: str) -> dict[str, float]:
    """Microseconds of CPU that one finished request costs: on the event loop, and in all."""
    records = list(requests(20_000, time.time()))
    journal, metrics = Journal(place, every_s=3600), Metrics(every_s=3600)
    found = {}
    for name, sink in (("metrics", metrics), ("journal", journal)):
        used, began = time.process_time(), time.thread_time()
        for record in records:
            sink(record)
        found[name] = round(1e6 * (time.thread_time() - began) / len(records), 2)
    journal.flush()
    spent = (time.process_time() - used) / len(records)
    found["journal, with writing, CPU"] = round(1e6 * spent, 1)
    journal.close()
    metrics.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--place", help="keep the database here, and use it again")
    parser.add_argument("--json", action="store_true", help="print only; keep no results file")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = asked.place or str(Path(folder) / "ledger.sqlite")
        made, now = Path(place).exists(), time.time()
        journal = Journal(place, every_s=3600, keep_days=400, most=asked.requests)
        if not made:
            for i, record in enumerate(requests(asked.requests, now), start=1):
                journal(record)
                if i % 20_000 == 0:
                    journal.flush()
            journal.flush()
        with journal.engine.begin() as connection:
            rows = {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (REQUESTS, HOURS, DAYS)
            }
            now = connection.execute(select(func.max(REQUESTS.c.began_at))).scalar_one()
        views = Views(journal.engine, Quiet(), lambda _: OpenDoor().find(None), clock=lambda: now)
        app = Starlette(routes=[*dashboard_routes(), *views.routes()])
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        found: dict[str, Any] = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": cpu(),
            "command": f"python benchmarks/dashboard.py --requests {asked.requests}",
            "rows": rows,
            "queries, ms": queries(Look(journal.engine), now, asked.rounds),
            "page, ms": paints(f"http://127.0.0.1:{listening.getsockname()[1]}", asked.rounds),
            "a request, µs": per_record(str(Path(folder) / "other.sqlite")),
        }
        server.should_exit = True
        thread.join()
        journal.close()
    found["slowest query, ms"] = {
        kind: max(query[kind] for query in found["queries, ms"].values())
        for kind in ("wall", "best", "CPU")
    }
    if not asked.json:
        RESULTS.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main()
