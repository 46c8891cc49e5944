"""Many requests through `bursar serve` while everything goes wrong, then the books are compared.

Keys of many teams with limits that bind ask plain, streamed and strategies' answers; the upstream
answers with 429, 500, garbage, cut replies and streams, without usage, or never; clients leave in
the middle; workers are killed with SIGKILL, but for one whose memory is watched. At the end:

- each receipt that a client got is what the ledger charged, and, where the upstream reported
  usage, what the upstream counted;
- nothing that the upstream counted is missing in the ledger, or is there with less;
- no limit was passed at any entry, and the whole journal is sound (`Ledger.verify`);
- no hold is open, no request is without an answer, but for those of workers that were killed.

    python benchmarks/gateway_soak.py [--requests 200000] [--workers 4] [--kill-every 20] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gateway_harness as harness
import orjson
import uvloop
from gateway_client import Broken, Connection
from rich.console import Console
from rich.progress import Progress

from bursar.gateway.tenants.actor import Actor
from bursar.gateway.tenants.store import Tenants
from bursar.ledger import Ledger

FAULTS = {
    "rate_limit": 0.01,
    "error": 0.01,
    "hang": 0.002,
    "cut": 0.01,
    "garbage": 0.01,
    "no_usage": 0.01,
}
KINDS = {"plain": 0.70, "streamed": 0.18, "strategy": 0.03, "left": 0.05, "left streaming": 0.04}
USD_PER_MTOK_IN, USD_PER_MTOK_OUT = 1.0, 4.0
MODEL = f"usd_per_mtok_in = {USD_PER_MTOK_IN}\nusd_per_mtok_out = {USD_PER_MTOK_OUT}"
MORE = '[access]\nkeys = "required"\n[requests]\ntimeout_s = 3.0'
BUDGETS = ("", "", "", "0.001 USD", "400 tokens", "2 s, 600 tokens")
USD_A_CALL = 0.0002  # about
OPERATOR = Actor("command line", "owner", "")


@dataclass(slots=True)
class Tally:
    """What clients saw."""

    ended: Counter[str] = field(default_factory=Counter)
    receipts: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    latencies: list[float] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    """Answers that should not be: 500, or what can't be read."""


@dataclass(slots=True)
class Watched:
    """What was seen of the processes."""

    killed: int = 0
    rss: list[tuple[float, float]] = field(default_factory=list)
    """(seconds, MB) of the one worker that is not killed."""


def make_keys(place: str, requests: int, rng: random.Random) -> list[str]:
    """Four organisations of five teams of five keys; some of each have limits that bind."""
    keys = []
    each = requests * USD_A_CALL / 100  # dollars that a key would spend without limits
    with Ledger(place) as ledger:
        tenants = Tenants.at(place, ledger)
        for o in range(4):
            limits = f"{25 * each * 0.7} USD per day" if o == 0 else ""
            tenants.teams.create_organisation(OPERATOR, f"org{o}", limits=limits)
            for t in range(5):
                limits = f"{5 * each * 0.6} USD" if t == 0 else ""
                tenants.teams.create_team(OPERATOR, f"org{o}", f"team{t}", limits=limits)
                for k in range(5):
                    limits = (
                        "",
                        f"{each * rng.uniform(0.2, 0.9)} USD",
                        "20000 tokens per minute",
                        "60 requests per rolling 10 s",
                        f"{each * 5} USD per month, 30 requests per second",
                    )[k]
                    _, secret = tenants.keys.create(
                        OPERATOR, f"org{o}/team{t}", f"key{k}", limits=limits
                    )
                    keys.append(secret)
        tenants.close()
    return keys


async def client(
    port: int, keys: list[str], numbers: itertools.count[int], most: int, seed: int, tally: Tally
) -> None:
    """Asks one request after the other until `most` have been asked by all."""
    rng = random.Random(seed)
    connection = Connection(port)
    while (number := next(numbers)) < most:
        (kind,) = rng.choices(list(KINDS), list(KINDS.values()))
        body: dict[str, Any] = {
            "model": "self_consistency:mock" if kind == "strategy" else "mock",
            "max_tokens": rng.randint(4, 40),
            "messages": [{"role": "user", "content": f"#{number} " + "why? " * rng.randint(1, 60)}],
        }
        if "stream" in kind:
            body["stream"] = True
        if rng.random() < 0.2:
            body["user"] = f"user{rng.randint(0, 9)}"
        budget = "0.004 USD, 2000 tokens" if kind == "strategy" else rng.choice(BUDGETS)
        if budget:
            body["budget"] = budget
        leave = rng.random() * 0.08 if kind.startswith("left") else None
        headers = f"authorization: Bearer {rng.choice(keys)}\r\n"
        began = time.perf_counter()
        try:
            answer = await connection.post(orjson.dumps(body), headers, leave)
        except Broken:
            tally.ended["broken"] += 1
            await asyncio.sleep(0.05)
            continue
        if answer.left:
            tally.ended["left"] += 1
            continue
        tally.latencies.append(time.perf_counter() - began)
        note(answer.status, answer.content, answer.header("x-request-id"), tally)
    connection.close()


def note(status: int, content: bytes, request_id: str, tally: Tally) -> None:
    """One answer."""
    try:
        if status == 200 and content.startswith(b"data: "):
            events = [line[6:] for line in content.split(b"\n") if line.startswith(b"data: ")]
            last = orjson.loads(events[-2] if events[-1] == b"[DONE]" else events[-1])
            tally.receipts[last["bursar"]["request_id"]] = last["bursar"]
            tally.ended["stream" if events[-1] == b"[DONE]" else "stream cut"] += 1
            return
        document = orjson.loads(content)
        if status == 200:
            tally.receipts[document["bursar"]["request_id"]] = document["bursar"]
            tally.ended["whole"] += 1
            return
        code = document["error"]["code"]
        if bill := document.get("bursar"):  # it failed, but not before something was spent
            tally.receipts[bill["request_id"]] = bill
    except (orjson.JSONDecodeError, KeyError, IndexError):
        tally.odd.append(f"{status}: {content[:300]!r}")
        return
    tally.ended[f"{status} {code}"] += 1
    if code == "budget_exceeded" and not bill:
        tally.refused.add(request_id)
    elif status not in (402, 429, 502, 504):
        tally.odd.append(f"{status}: {content[:300]!r}")


async def disturb(
    supervisor: int, workers: int, every_s: float, watched: Watched, rng: random.Random
) -> None:
    """Kill a worker now and then, never the eldest; measure that one's memory."""
    began = time.monotonic()
    eldest = harness.workers_of(supervisor)[0]
    next_kill = every_s
    while True:
        await asyncio.sleep(1.0)
        seconds = time.monotonic() - began
        watched.rss.append((seconds, rss_mb(eldest)))
        if every_s and seconds >= next_kill:
            next_kill += every_s
            others = [pid for pid in harness.workers_of(supervisor) if pid != eldest]
            if len(others) == workers - 1:  # else one is still starting
                os.kill(rng.choice(others), signal.SIGKILL)
                watched.killed += 1


def rss_mb(process: int) -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def load(
    url: str, supervisor: int, keys: list[str], asked: argparse.Namespace, screen: Console
) -> tuple[Tally, Watched, float]:
    """All requests."""
    tally, watched = Tally(), Watched()
    rng = random.Random(asked.seed)
    numbers = itertools.count()
    port = int(url.rpartition(":")[2])
    began = time.monotonic()
    disturbing = asyncio.create_task(
        disturb(supervisor, asked.workers, asked.kill_every, watched, rng)
    )
    clients = [
        asyncio.create_task(client(port, keys, numbers, asked.requests, rng.random(), tally))
        for _ in range(asked.clients)
    ]
    with Progress(console=screen, disable=asked.json) as progress:
        bar = progress.add_task("requests", total=asked.requests)
        while not all(one.done() for one in clients):
            await asyncio.wait(clients, timeout=0.5)
            progress.update(bar, completed=sum(tally.ended.values()))
    seconds = time.monotonic() - began
    await asyncio.gather(*clients)
    disturbing.cancel()
    return tally, watched, seconds


def compare(place: str, upstream: dict[str, list[dict[str, Any]]], tally: Tally) -> dict[str, Any]:
    """The three books, request by request."""
    with Ledger(place, create=False) as ledger:
        until = time.monotonic() + 60
        while (left_open := [h for h in ledger.open_holds() if not h.expired]) and (
            time.monotonic() < until
        ):
            time.sleep(0.5)
        entries = ledger.entries()
        verified = ledger.verify()
    charged: dict[str, list[Any]] = {}
    expired = set()
    for entry in entries:
        if entry.kind in ("spend", "expired", "correction"):
            request_id = entry.what.rpartition(" ")[2]
            sums = charged.setdefault(request_id, [0, 0, 0.0])
            used = entry.usage
            sums[0] += used.tokens_in or 0
            sums[1] += used.tokens_out or 0
            sums[2] += used.usd or 0.0
            if entry.kind == "expired":
                expired.add(request_id)
    billed = {
        request_id: [sum(bill["in"] for bill in bills), sum(bill["out"] for bill in bills)]
        for request_id, bills in upstream.items()
    }
    wrong: Counter[str] = Counter()
    shown: list[str] = []

    def found(what: str, request_id: str) -> None:
        wrong[what] += 1
        if len(shown) < 10:
            receipt = tally.receipts.get(request_id, {}).get("spent")
            books = f"ledger {charged.get(request_id)}, upstream {upstream.get(request_id)}"
            shown.append(f"{what}: {request_id}: {books}, receipt {receipt}"[:600])

    exact = 0
    for request_id, receipt in tally.receipts.items():
        spent = receipt["spent"]
        said = [spent.get("tokens_in", 0), spent.get("tokens_out", 0)]
        due = charged.get(request_id, [0, 0, 0.0])
        if said != due[:2] or abs(spent.get("usd", 0.0) - due[2]) > 1e-9:
            found("receipt is not what the ledger charged", request_id)
        if not receipt["estimated"]:
            exact += 1
            if said != billed.get(request_id, [0, 0]):
                found("receipt is not what the upstream counted", request_id)
    for request_id, (tokens_in, tokens_out) in billed.items():
        due = charged.get(request_id)  # a strategy's bound has all of its tokens as output
        usd = (tokens_in * USD_PER_MTOK_IN + tokens_out * USD_PER_MTOK_OUT) / 1e6
        if due is None and tokens_in + tokens_out:
            found("billed and not in the ledger", request_id)
        elif due is not None and (due[0] + due[1] < tokens_in + tokens_out or due[2] < usd - 1e-9):
            found("billed more than the ledger has", request_id)
    for request_id in tally.refused & billed.keys():
        found("refused and sent all the same", request_id)
    return {
        "receipts": len(tally.receipts),
        "receipts_without_estimates": exact,
        "upstream_requests": len(billed),
        "upstream_calls": sum(map(len, upstream.values())),
        "upstream_tokens": sum(map(sum, billed.values())),
        "ledger_tokens": sum(sums[0] + sums[1] for sums in charged.values()),
        "ledger_tokens_of_receipts": sum(
            sum(charged[r][:2]) for r in tally.receipts if r in charged
        ),
        "receipt_tokens": sum(
            r["spent"].get("tokens_in", 0) + r["spent"].get("tokens_out", 0)
            for r in tally.receipts.values()
        ),
        "entries_verified": verified.entries,
        "holds_left_open": len(left_open),
        "holds_charged_at_their_bound": len(expired),
        "wrong": dict(wrong),
        "examples": shown,
    }


def flatness(rss: list[tuple[float, float]]) -> dict[str, float]:
    """Memory of the longest-lived worker in the second half of the run."""
    after = rss[len(rss) // 2 :]
    if len(after) < 2:
        return {}
    slope, _ = statistics.linear_regression(*zip(*after, strict=True))
    return {
        "at_half_mb": round(after[0][1], 1),
        "at_end_mb": round(after[-1][1], 1),
        "mb_per_minute": round(slope * 60, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--kill-every", type=float, default=20.0, help="seconds; 0: never")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print only; keep no results file")
    asked = parser.parse_args()
    screen = Console(stderr=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        place = str(folder / "ledger.sqlite")
        keys = make_keys(place, asked.requests, random.Random(asked.seed))
        settings: dict[str, Any] = {"latency": 0.01, "gap": 0.002, "tokens": (1, 32)}
        with harness.mock(**settings, faults=FAULTS, seed=asked.seed) as mock_url:
            text = harness.config(mock_url, place, MORE, MODEL, 1, ("one", "two"))
            with harness.gateway(folder, text, asked.workers) as (url, supervisor):
                tally, watched, seconds = uvloop.run(load(url, supervisor, keys, asked, screen))
                screen.print("comparing", dict(tally.ended))
                found = compare(place, harness.counts(mock_url), tally)
            log = next(folder.glob("gateway*.log")).read_text()
    latencies = sorted(tally.latencies)
    broken = tally.ended["broken"]
    found = {
        "requests": asked.requests,
        "workers": asked.workers,
        "seconds": round(seconds, 1),
        "ended": dict(sorted(tally.ended.items())),
        "killed": watched.killed,
        "p50_ms": round(1e3 * latencies[len(latencies) // 2], 1),
        "p99_ms": round(1e3 * latencies[len(latencies) * 99 // 100], 1),
        "memory": flatness(watched.rss),
        **found,
    }
    claims = {
        "books differ": bool(found["wrong"]),
        "holds left open": found["holds_left_open"] > 0,
        "requests without an end": sum(tally.ended.values()) != asked.requests,
        "answers broken off without a kill": broken > watched.killed * asked.clients,
        "answers that should not be": bool(tally.odd),
        "bugs in the log": '"bug"' in log or "Traceback" in log,
    }
    found["failed"] = [claim for claim, so in claims.items() if so]
    if tally.odd:
        found["odd"] = tally.odd[:10]
    if "bugs in the log" in found["failed"]:
        found["log"] = [line for line in log.splitlines() if '"bug"' in line][:5] or log[-2000:]
    if not asked.json:
        harness.keep("gateway_soak", found)
    print(json.dumps(found, indent=None if asked.json else 2))
    if found["failed"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
