"""Fair: a tenant that floods a busy model does not raise another's p99 by more than 2x.

The model takes eight calls at a time, of 25 to 75 ms each. One tenant asks with two clients, a
quarter of that, alone and then beside another's flood, in turns. For comparison: with four clients,
all of its share, so that its calls wait for each other; and beside a flood of its own team's other
key, with which it shares one place in the queue.

    python benchmarks/gateway_fair.py [--seconds 10] [--rounds 3] [--flood 200] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import gateway_harness as harness
import uvloop
from gateway_client import Broken, Connection

from bursar.gateway.tenants.actor import Actor
from bursar.gateway.tenants.store import Tenants
from bursar.ledger import Ledger

QUARTER, SHARE, PLACES, CALL_S = 2, 4, 8, 0.05
BAR = 2.0
WARM_S = 1.0
"""A flood has begun before it is looked at what it does."""
BODY = json.dumps(
    {"model": "mock", "max_tokens": 16, "messages": [{"role": "user", "content": "Why is that?"}]}
).encode()


def make_keys(place: str) -> tuple[str, str, str]:
    """A key, one of another team, and another one of the first's."""
    operator = Actor("command line", "owner", "")
    with Ledger(place) as ledger:
        tenants = Tenants.at(place, ledger)
        tenants.teams.create_organisation(operator, "org")
        for team in ("quiet", "loud"):
            tenants.teams.create_team(operator, "org", team)
        made = [
            tenants.keys.create(operator, f"org/{team}", name)[1]
            for team, name in (("quiet", "one"), ("loud", "one"), ("quiet", "two"))
        ]
        tenants.close()
    return made[0], made[1], made[2]


async def ask(port: int, key: str, until: float, found: list[tuple[int, float]]) -> None:
    """One request after the other: status and seconds of each."""
    connection = Connection(port)
    headers = f"authorization: Bearer {key}\r\n"
    while (began := time.perf_counter()) < until:
        try:
            answer = await connection.post(BODY, headers)
        except Broken:
            continue
        found.append((answer.status, time.perf_counter() - began))
        if answer.status != 200:
            await asyncio.sleep(0.05)
    connection.close()


async def turn(
    port: int, quiet: str, clients: int, loud: str, flood: int, seconds: float
) -> dict[str, float]:
    """The latencies of so many clients of the quiet one beside `flood` of the loud one."""
    until = time.perf_counter() + WARM_S + seconds
    mine: list[tuple[int, float]] = []
    theirs: list[tuple[int, float]] = []
    flooding = [asyncio.create_task(ask(port, loud, until, theirs)) for _ in range(flood)]
    await asyncio.sleep(WARM_S)
    await asyncio.gather(*(ask(port, quiet, until, mine) for _ in range(clients)), *flooding)
    served = sorted(s for status, s in mine if status == 200)
    return {
        "served": len(served),
        "refused": len(mine) - len(served),
        "p50_ms": 1e3 * served[len(served) // 2],
        "p99_ms": 1e3 * served[len(served) * 99 // 100],
        "of_the_flood_served": sum(status == 200 for status, _ in theirs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--flood", type=int, default=200, help="clients")
    parser.add_argument("--json", action="store_true", help="print only; keep no results file")
    asked = parser.parse_args()
    rounds: dict[str, list[dict[str, float]]] = {}
    with (
        tempfile.TemporaryDirectory() as temporary,
        harness.mock(latency=CALL_S, jitter=0.5) as mock_url,
    ):
        folder = Path(temporary)
        place = str(folder / "ledger.sqlite")
        quiet, loud, sibling = make_keys(place)
        text = harness.config(mock_url, place, '[access]\nkeys = "required"', upstreams=("one",))
        text += f"\nconcurrency = {PLACES}\n"
        with harness.gateway(folder, text) as (url, _):
            port = int(url.rpartition(":")[2])
            uvloop.run(turn(port, quiet, QUARTER, loud, 0, 2.0))  # warm
            for _ in range(asked.rounds):
                for name, clients, key, flood in (
                    ("alone", QUARTER, loud, 0),
                    ("beside a flood", QUARTER, loud, asked.flood),
                    ("all of its share, alone", SHARE, loud, 0),
                    ("all of its share, beside a flood", SHARE, loud, asked.flood),
                    ("beside a flood of its own team", QUARTER, sibling, asked.flood),
                ):
                    found = uvloop.run(turn(port, quiet, clients, key, flood, asked.seconds))
                    rounds.setdefault(name, []).append(found)
    middle = {
        name: {key: round(statistics.median(one[key] for one in each), 1) for key in each[0]}
        for name, each in rounds.items()
    }
    ratio = middle["beside a flood"]["p99_ms"] / middle["alone"]["p99_ms"]
    found: dict[str, Any] = {
        "medians": middle,
        "p99_ratio": round(ratio, 2),
        "bar": BAR,
        "holds": ratio <= BAR,
        "rounds": rounds,
    }
    if not asked.json:
        harness.keep("gateway_fair", found)
    print(json.dumps({k: v for k, v in found.items() if k != "rounds"}, indent=2))


if __name__ == "__main__":
    main()
