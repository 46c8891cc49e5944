"""Never over, through the gateway: fifty calls of 0.018 USD at once on a cap of 0.10 USD.

Exactly five are served: whole, streamed, as a strategy's fan-out; on SQLite with four workers, and
on PostgreSQL with two gateways of two workers each. Clients that go away free only what their call
did not use: the upstream never bills more than the cap, nor more than the ledger says.

    python benchmarks/gateway_never_over.py [--place sqlite|postgres|both] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from gateway_harness import config, counts, gateway, keep, mock, postgres

from bursar.ledger import Ledger

CAP_USD, CALL_USD, CALLS, FIT = 0.10, 0.018, 50, 5
USD_PER_TOKEN = 0.001
ACCOUNT = "local/everyone/local"
MODEL = f"usd_per_mtok_in = 0\nusd_per_mtok_out = {USD_PER_TOKEN * 1e6}"
ACCESS = f'[access]\nsecret_env = "BURSAR_SECRET"\nlimits = "{CAP_USD} USD"'
KINDS: dict[str, dict[str, Any]] = {
    "whole": {"model": "mock", "max_tokens": 18},
    "stream": {"model": "mock", "max_tokens": 18, "stream": True},
    "strategy": {
        "model": "self_consistency:mock",
        "max_tokens": 6,
        "budget": "0.018 USD, 2000 tokens",
    },
    "strategy streamed": {
        "model": "self_consistency:mock",
        "max_tokens": 6,
        "stream": True,
        "budget": "0.018 USD, 2000 tokens",
    },
    "disconnects": {"model": "mock", "max_tokens": 18, "stream": True},
}


async def all_at_once(urls: Sequence[str], kind: str) -> Counter[str]:
    """Fifty calls, spread over gateways: how many ended how."""
    body = {**KINDS[kind], "messages": [{"role": "user", "content": "What is 2 + 2?"}]}

    async def call(session: aiohttp.ClientSession, number: int) -> str:
        url = f"{urls[number % len(urls)]}/v1/chat/completions"
        async with session.post(url, json=body) as reply:
            if kind == "disconnects" and reply.status == 200:
                await reply.content.readline()
                reply.close()  # the connection goes, and with it who listens
                return "left"
            content = await reply.read()
            if reply.status == 200 and body.get("stream"):
                assert content.endswith(b"data: [DONE]\n\n"), content[-200:]
            return "served" if reply.status == 200 else f"HTTP {reply.status}"

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        return Counter(await asyncio.gather(*(call(session, i) for i in range(CALLS))))


def try_kind(folder: Path, place: str, kind: str, gateways: int, workers: int) -> dict[str, Any]:
    """One kind of call on fresh books."""
    folder.mkdir()
    with ExitStack() as stack:
        upstream = stack.enter_context(mock(latency=0.5, gap=0.03, tokens=(18, 18)))
        text = config(upstream, place, ACCESS, MODEL)
        urls = [stack.enter_context(gateway(folder, text, workers))[0] for _ in range(gateways)]
        ended = asyncio.run(all_at_once(urls, kind))
        with Ledger(place, create=False) as ledger:
            until = time.monotonic() + 10
            while ledger.open_holds() and time.monotonic() < until:
                time.sleep(0.05)  # those who left are settled after they left
            spent, held = ledger.totals(ACCOUNT).spent.usd, ledger.totals(ACCOUNT).held.usd
            ledger.verify()
        billed = [bill for bills in counts(upstream).values() for bill in bills]
    return {
        "calls": CALLS,
        **dict(sorted(ended.items())),
        "upstream_calls": len(billed),
        "upstream_usd": round(sum(bill["out"] for bill in billed) * USD_PER_TOKEN, 6),
        "ledger_usd": spent,
        "held_usd_after": held,
        "cap_usd": CAP_USD,
    }


def wrong(kind: str, found: dict[str, Any]) -> list[str]:
    """Which of the claims do not hold."""
    claims = {
        "the upstream billed more than the cap": found["upstream_usd"] > CAP_USD,
        "the ledger has more than the cap": found["ledger_usd"] > CAP_USD,
        "the ledger has less than the upstream": found["ledger_usd"] < found["upstream_usd"],
        "something is still held": found["held_usd_after"] != 0,
        "others than five were served": kind != "disconnects" and found.get("served") != FIT,
        "one was neither served nor refused for the budget": kind != "disconnects"
        and found.get("HTTP 402") != CALLS - FIT,
        "nobody left": kind == "disconnects" and found.get("left", 0) < FIT,
    }
    return [claim for claim, so in claims.items() if so]


@contextmanager
def places(kind: str, folder: Path) -> Iterator[str]:
    """Fresh books."""
    if kind == "sqlite":
        yield str(folder / "ledger.sqlite")
    else:
        with postgres() as place:
            yield place


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--place", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--workers", type=int, default=4, help="in all")
    parser.add_argument("--json", action="store_true", help="print only; keep no results file")
    asked = parser.parse_args()
    setups = {"sqlite": 1, "postgres": 2}
    found: dict[str, Any] = {}
    for setup, gateways in setups.items():
        if asked.place not in (setup, "both"):
            continue
        for kind in asked.kinds:
            each = asked.workers // gateways
            with (
                tempfile.TemporaryDirectory() as folder,
                places(setup, Path(folder)) as place,
            ):
                one = try_kind(Path(folder) / "run", place, kind, gateways, each)
            key = f"{setup}, {gateways} x {each} workers, {kind}"
            found[key] = {**one, "wrong": wrong(kind, one)}
            if not asked.json:
                print(key, found[key], flush=True)
    if asked.json:
        print(json.dumps(found))
    else:
        keep("gateway_never_over", found)
    if any(one["wrong"] for one in found.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
