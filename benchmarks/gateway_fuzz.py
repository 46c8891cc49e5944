"""Malformed bodies, headers and upstream answers: no 500, no hang, nothing of another tenant.

Bodies are good ones with parts replaced by anything; headers, request lines and framing likewise;
and the upstream answers with anything too: status, headers, chunks, events, objects. One tenant
asks; of the other, whose names and prompts are marked, nothing may ever be in an answer. In the
end no hold is open, the books are sound, and the gateway serves.

    python benchmarks/gateway_fuzz.py [--cases 10000] [--seed 0] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gateway_harness as harness

from bursar.gateway.tenants.actor import Actor
from bursar.gateway.tenants.store import Tenants
from bursar.ledger import Ledger

PRICE = "usd_per_mtok_in = 1\nusd_per_mtok_out = 2"
MARK = "zebrafish"
"""In the other tenant's names and prompts."""
PATHS = ("chat/completions", "completions", "embeddings", "responses")
SHARES = {"body": 0.5, "header": 0.2, "frame": 0.3}
HANG_S, IDLE_S = 20.0, 3.0
"""Until the first byte of an answer, and between two; the gateway is told to be quicker."""
MODELS = 300
"""So many, that an upstream which fails again and again is asked all the same."""
NASTY: list[Any] = [
    *(None, True, False, 0, -1, 1, 1e308, -0.0, 2**63, 2**64, -(2**63), 1e-320, 0.5),
    *("", " ", "\0", "a" * 5000, "\u202e", "😀", "null", "NaN", "-1", "1e999", "mock", "auto"),
    *([], {}, [[]], [{}], [None], {"": ""}, {"a": None}, ["a", 1, {}], "self_consistency:mock"),
    *("0.01 USD", "5 s", "-1 USD", "1e400 USD", "NaN tokens", "9" * 400 + " tokens", "5 s, 5 s"),
    *("refine:mock", "best_of_n:mock", ":", "a:b:c", "../../etc/passwd", "${jndi}", "%00"),
]
TEXT_HEADERS = ("authorization", "x-bursar-budget", "content-type", "traceparent", "accept", "x")
ODD_BYTES = b"\0\x01\t \"'\\\x7f\x80\xff{}[]:,%"


def good(path: str, rng: random.Random) -> dict[str, Any]:
    """A body that could be served."""
    body: dict[str, Any] = {"model": rng.choice(("mock", "mock", "mock", "auto"))}
    if path == "chat/completions":
        body["messages"] = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "What is 2 + 2?"}]},
            {"role": "user", "content": "Well?", "name": "me"},
        ]
    elif path in ("embeddings", "responses"):
        body["input"] = rng.choice(("hello", ["hello", "you"]))
    else:
        body["prompt"] = rng.choice(("hello", ["a", "b"], [1, 2, 3]))
    more = {
        "max_tokens": 5,
        "n": 1,
        "temperature": 0.5,
        "top_p": 1.0,
        "seed": 7,
        "stop": ["\n"],
        "stream": True,
        "stream_options": {"include_usage": True},
        "user": "me",
        "budget": "5 s",
        "bursar": {"budget": "0.01 USD", "extract": "numeric"},
        "reasoning_effort": "low",
        "response_format": {"type": "json_object"},
        "logprobs": True,
        "top_logprobs": 2,
        "tools": [
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
        ],
        "tool_choice": "auto",
        "logit_bias": {"50256": -100},
        "metadata": {"a": "b"},
        "max_completion_tokens": 9,
        "max_output_tokens": 9,
        "instructions": "Be brief.",
        "best_of": 2,
        "model": "self_consistency:mock",
    }
    for name in rng.sample(sorted(more), rng.randint(0, 5)):
        body[name] = more[name]
    return body


def deep(rng: random.Random) -> Any:
    """A value of many levels."""
    value: Any = rng.choice(NASTY)
    for _ in range(rng.choice((10, 200, 300, 900))):
        value = {"a": value} if rng.random() < 0.5 else [value]
    return value


def spoiled(value: Any, rng: random.Random) -> Any:
    """`value` with one part of it replaced, removed or doubled."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(sorted(value))
        change = rng.random()
        if change < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if change < 0.15:
            return {**value, str(rng.choice(NASTY))[:50]: rng.choice(NASTY)}
        return {**value, key: spoiled(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.7:
        at = rng.randrange(len(value))
        many = rng.choice((0, 1, 1, 1, 2, 200))
        return [*value[:at], *[spoiled(value[at], rng)] * many, *value[at + 1 :]]
    return deep(rng) if rng.random() < 0.1 else rng.choice(NASTY)


def torn(content: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, cut, or put in."""
    at = rng.randrange(len(content) + 1)
    odd = bytes(rng.choices(ODD_BYTES, k=rng.randint(1, 4)))
    return rng.choice(
        (content[:at], content[:at] + odd + content[at:], content[:at] + odd + content[at + 1 :])
    )


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")


def body_case(key: str, rng: random.Random) -> bytes:
    """A request whose body is spoiled."""
    path = rng.choice(PATHS)
    body = good(path, rng)
    for _ in range(rng.randint(1, 3)):
        body = spoiled(body, rng)
    content = dumped(body)
    if rng.random() < 0.15:
        content = torn(content, rng)
    return request(f"/v1/{path}", key, content)


def header_case(key: str, rng: random.Random) -> bytes:
    """A request whose head is spoiled."""
    content = dumped(good("chat/completions", rng))
    head = request("/v1/chat/completions", key, content)
    way = rng.random()
    if way < 0.4:
        name = rng.choice(TEXT_HEADERS)
        value = rng.choice(
            (str(rng.choice(NASTY)), "Bearer " + key[:-1], "Bearer  " + key, "x" * 5000, key)
        ).encode("utf-8", "replace")
        return head.replace(b"\r\n", b"\r\n" + name.encode() + b": " + value + b"\r\n", 1)
    if way < 0.6:
        lengths = (b"-1", b"0", b"1", b"999999999999", b"abc", b"5, 6", b"+7", b"0x10", b"")
        size = str(len(content)).encode()
        return head.replace(b"content-length: " + size, b"content-length: " + rng.choice(lengths))
    if way < 0.75:
        sizes = (b"zz", b"ffffffffffffffff", b"-5", b"5;ext=\xff", b"0", b"")
        cut = head.index(b"content-length")
        chunk = rng.choice(sizes) + b"\r\n" + content[:20] + b"\r\n0\r\n\r\n"
        return head[:cut] + b"transfer-encoding: chunked\r\n\r\n" + chunk
    if way < 0.85:
        line = rng.choice(
            (
                *(b"GET", b"PUT", b"OPTIONS", b"TRACE", b"CONNECT", b"PRI * HTTP/2.0"),
                *(b"POST //v1", b"POST /v1/%zz", b"POST http://[::1", b"POST /v1/models/%00%ff"),
                *(b"GET /v1/models/..%2f..", b"DELETE /admin/v1", b"GET /metrics", b"GET /?" * 900),
            )
        )
        return line + b" /v1/models HTTP/1.1\r\n" + head.partition(b"\r\n")[2]
    at = head.index(b"\r\n\r\n")
    return torn(head[:at], rng) + head[at:]


def frame_case(key: str, rng: random.Random) -> bytes:
    """A good request, to which the upstream has an answer of its own."""
    body = {**good("chat/completions", rng), "model": f"mock{rng.randrange(MODELS)}"}
    return request("/v1/chat/completions", key, dumped({**body, "stream": rng.random() < 0.7}))


def request(path: str, key: str, content: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
    head += "connection: close\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    return head.encode() + content


CASES: dict[str, Callable[[str, random.Random], bytes]] = {
    "body": body_case,
    "header": header_case,
    "frame": frame_case,
}


def upstream_answer(stream: bool, rng: random.Random) -> bytes:
    """An answer of an upstream, of which something may be wrong."""
    said = {"role": "assistant", "content": "the answer is 4"}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    head = {"id": "chatcmpl-1", "created": 1, "model": "mock"}
    choice = {"index": 0, "message": said, "finish_reason": "stop"}
    whole = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
    piece = {**head, "object": "chat.completion.chunk"}
    events: list[Any] = [
        {**piece, "choices": [{"index": 0, "delta": said, "finish_reason": None}]},
        {**piece, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {**piece, "choices": [], "usage": usage},
    ]
    way = rng.random()
    if not stream:
        content = dumped(spoiled(whole, rng) if way < 0.6 else whole)
        kind = b"application/json"
    else:
        if way < 0.6:
            at = rng.randrange(3)
            events[at] = spoiled(events[at], rng)
        lines = [b"data: " + dumped(event) + b"\n\n" for event in events] + [b"data: [DONE]\n\n"]
        if 0.6 < way < 0.8:
            lines.insert(rng.randrange(4), torn(rng.choice(lines), rng))
        content, kind = b"".join(lines), b"text/event-stream"
    if rng.random() < 0.1:
        content = torn(content, rng)
    status = rng.choice((b"200 OK",) * 8 + (b"500 x", b"204 No", b"302 Found", b"999 x", b"100 C"))
    head_bytes = b"HTTP/1.1 " + status + b"\r\ncontent-type: " + kind
    head_bytes += b"\r\ncontent-length: %d\r\n\r\n" % len(content)
    if rng.random() < 0.1:
        head_bytes = torn(head_bytes, rng)
    return head_bytes + content


async def upstream(rng: random.Random) -> asyncio.Server:
    """Answers each request in its own way, and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 : head.index(b"\r\n", at)]) if at >= 0 else 0
            content = await reader.readexactly(length)
            writer.write(upstream_answer(b'"stream":true' in content, rng))
            await writer.drain()
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


async def one(port: int, content: bytes) -> bytes | None:
    """What came back until the gateway closed or said no more; None: it hung."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    said = b""
    try:
        writer.write(content)
        while True:
            async with asyncio.timeout(IDLE_S if said else HANG_S):
                if not (piece := await reader.read(65536)):
                    return said
            said += piece
    except TimeoutError:
        return said or None
    except ConnectionError:
        return said
    finally:
        writer.transport.abort()


def faults(kind: str, said: bytes | None) -> list[str]:
    """What is wrong with an answer."""
    if said is None:
        return ["hung"]
    found = ["another tenant's"] if MARK.encode() in said else []
    head, _, content = said.partition(b"\r\n\r\n")
    status = head[9:12]
    if status == b"500":
        found.append("500")
    if b"Traceback" in said:
        found.append("traceback")
    if status[:1] == b"4" and b"application/json" in head and b'"error"' not in content:
        found.append("an error in no shape")
    if kind != "header" and not said:
        found.append("no answer")
    return found


async def attack(
    port: int, keys: tuple[str, str], cases: int, seed: int
) -> tuple[Counter[str], list[str]]:
    """All cases; how they were answered, and what was wrong with some."""
    rng = random.Random(seed)
    ended: Counter[str] = Counter()
    wrong: list[str] = []
    turn = asyncio.Semaphore(16)

    async def case(number: int) -> None:
        (kind,) = rng.choices(list(SHARES), list(SHARES.values()))
        content = CASES[kind](keys[0], rng)
        async with turn:
            if number % 20 == 0:  # the other tenant is there too
                text = {"role": "user", "content": f"{MARK} {number}"}
                other = {"model": "mock", "messages": [text], "user": MARK}
                await one(port, request("/v1/chat/completions", keys[1], dumped(other)))
            said = await one(port, content)
        status = (said or b"")[9:12].decode("latin-1") or "closed"
        ended[f"{kind} {status}"] += 1
        wrong.extend(f"{fault}: {content!r} -> {said!r}" for fault in faults(kind, said))

    await asyncio.gather(*(case(number) for number in range(cases)))
    return ended, wrong


def make_keys(place: str) -> tuple[str, str]:
    """A key of each of two tenants."""
    operator = Actor("command line", "owner", "")
    with Ledger(place) as ledger:
        tenants = Tenants.at(place, ledger)
        keys = []
        for name in ("plain", MARK):
            tenants.teams.create_organisation(operator, name)
            tenants.teams.create_team(operator, name, name)
            keys.append(tenants.keys.create(operator, f"{name}/{name}", name)[1])
        tenants.close()
    return keys[0], keys[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print only; keep no results file")
    asked = parser.parse_args()
    random.seed(asked.seed)

    async def run(folder: Path) -> dict[str, Any]:
        place = str(folder / "ledger.sqlite")
        keys = await asyncio.to_thread(make_keys, place)
        server = await upstream(random.Random(asked.seed))
        there = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        access = '[access]\nkeys = "required"\n[requests]\ntimeout_s = 5.0'
        text = harness.config(there, place, access, PRICE)
        for number in range(MODELS):
            text += f'\n[[models]]\nname = "mock{number}"\nretries = 0\n{PRICE}\n'
            text += f'[[models.upstreams]]\nurl = "{there}/v1"\nname = "mock{number}"\n'
        text = text.replace("[server]", "[server]\nread_s = 2.0")
        opening = harness.gateway(folder, text)
        url, _ = await asyncio.to_thread(opening.__enter__)
        try:
            began = time.monotonic()
            ended, wrong = await attack(int(url.rpartition(":")[2]), keys, asked.cases, asked.seed)
            seconds = time.monotonic() - began
            with Ledger(place, create=False) as ledger:
                await asyncio.sleep(1.0)
                still_open = len(ledger.open_holds())
                entries = ledger.verify().entries
        finally:
            await asyncio.to_thread(opening.__exit__, None, None, None)
            server.close()
        log = next(folder.glob("gateway*.log")).read_text()
        return {
            "cases": asked.cases,
            "seconds": round(seconds, 1),
            "answers": dict(sorted(ended.items())),
            "wrong": dict(Counter(w.partition(":")[0] for w in wrong)),
            "examples": [w[:1500] for w in wrong[:12]],
            "holds_left_open": still_open,
            "entries_verified": entries,
            "bugs_in_log": log.count('"bug"') + log.count("Traceback"),
            "log": [line for line in log.splitlines() if '"bug"' in line][:10],
        }

    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(run(Path(folder)))
    if not asked.json:
        harness.keep("gateway_fuzz", found)
    print(json.dumps(found, indent=2))
    if found["wrong"] or found["holds_left_open"] or found["bugs_in_log"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
