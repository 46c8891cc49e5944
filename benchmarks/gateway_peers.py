"""What a proxied request costs: ours beside LiteLLM's, Portkey's and its_hub's, on one mock.

Each peer lives in an environment of its own, made here with pip or npm at the version named below,
and runs one worker process with its defaults: no keys, no database, logs off where it offers that.
Ours checks a key and a budget and books every request in a durable ledger. In each round each peer
has its turn of `wrk` at 32 connections, and of streams read one at a time; medians over rounds.
CPU is user + system of the peer's processes, for each request answered.

    python benchmarks/gateway_peers.py [--rounds 3] [--seconds 8] [--envs FOLDER] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gateway_harness as harness

from bursar.gateway.tenants.actor import Actor
from bursar.gateway.tenants.store import Tenants
from bursar.ledger import Ledger

LITELLM, ITS_HUB, PORTKEY = "1.105.0", "1.2.0", "1.15.2"
CLIENTS = 32
PATH = "/v1/chat/completions"
BODY: dict[str, Any] = {
    "model": "mock",
    "max_tokens": 16,
    "messages": [{"role": "user", "content": "Say in ten words how the weather is today, please."}],
}
PRICES = "usd_per_mtok_in = 0.15\nusd_per_mtok_out = 0.6"


@dataclass(frozen=True)
class Served:
    """Something that answers chats: where, with which headers, from which process."""

    url: str
    process: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def litellm(folder: Path, envs: Path, mock_url: str) -> Iterator[Served]:
    where = _python(envs / "litellm", f"litellm[proxy]=={LITELLM}")
    settings = folder / "litellm.yaml"
    settings.write_text(
        "model_list:\n  - model_name: mock\n    litellm_params:\n      model: openai/mock\n"
        f"      api_base: {mock_url}/v1\n      api_key: none\n"
    )
    port = harness.free_port()
    command = [str(where / "litellm"), "--config", str(settings), "--port", str(port)]
    command += ["--host", "127.0.0.1", "--num_workers", "1", "--telemetry", "False"]
    quiet = {
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    }
    with _served(command, port, "/health/liveliness", folder, quiet) as process:
        yield Served(f"http://127.0.0.1:{port}", process)


@contextmanager
def its_hub(folder: Path, envs: Path, mock_url: str) -> Iterator[Served]:
    where = _python(envs / "its_hub", f"its_hub[iaas]=={ITS_HUB}")
    port = harness.free_port()
    command = [str(where / "its-iaas"), "--port", str(port), "--log-level", "ERROR"]
    with _served(command, port, "/v1/models", folder, {}) as process:
        url = f"http://127.0.0.1:{port}"
        asked = {
            "endpoint": f"{mock_url}/v1",
            "model": "mock",
            "api_key": "none",
            "alg": "self-consistency",
            "regex_patterns": ["(.*)"],
            "budget": 1,
        }
        _post(f"{url}/configure", asked)
        yield Served(url, process)


@contextmanager
def portkey(folder: Path, envs: Path, mock_url: str) -> Iterator[Served]:
    where = envs / "portkey"
    server = where / "node_modules/@portkey-ai/gateway/build/start-server.js"
    if not server.is_file():
        where.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(where)]
        _install([*command, f"@portkey-ai/gateway@{PORTKEY}"])
    port = harness.free_port()
    command = ["node", str(server), f"--port={port}", "--headless"]
    headers = {
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"{mock_url}/v1",
        "authorization": "Bearer none",
    }
    with _served(command, port, "/", folder, {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1"}) as process:
        yield Served(f"http://127.0.0.1:{port}", process, headers)


@contextmanager
def ours(folder: Path, envs: Path, mock_url: str) -> Iterator[Served]:
    place = str(folder / "ledger.sqlite")
    operator = Actor("command line", "owner", "")
    with Ledger(place) as ledger:
        tenants = Tenants.at(place, ledger)
        tenants.teams.create_organisation(operator, "org", limits="1000 USD")
        tenants.teams.create_team(operator, "org", "team", limits="100 USD per day")
        _, key = tenants.keys.create(operator, "org/team", "key", limits="1e9 tokens per day")
        tenants.close()
    text = harness.config(mock_url, place, '[access]\nkeys = "required"', PRICES)
    with harness.gateway(folder, text) as (url, process):
        yield Served(url, process, {"authorization": f"Bearer {key}"})


@contextmanager
def bare(folder: Path, envs: Path, mock_url: str) -> Iterator[Served]:
    yield Served(mock_url)


PEERS = {"mock": bare, "bursar": ours, "litellm": litellm, "portkey": portkey, "its_hub": its_hub}


def loaded(served: Served, folder: Path, seconds: float) -> dict[str, float]:
    """`wrk` at 32 connections: throughput, latencies in ms, CPU in ms for each request."""
    script = folder / "post.lua"
    headers = {"content-type": "application/json", **served.headers}
    lines = [f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}" for k, v in headers.items()]
    head = f'wrk.method = "POST"\nwrk.body = {json.dumps(json.dumps(BODY))}\n'
    done = 'done = function(s, l, r) print("P", l:percentile(50), l:percentile(99), s.requests, '
    done += "s.errors.status + s.errors.connect + s.errors.read + s.errors.timeout) end\n"
    script.write_text(head + "\n".join(lines) + "\n" + done)
    command = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds:g}", "--timeout", "30s", "-s"]
    before, began = cpu_seconds(served.process), time.perf_counter()
    ran = subprocess.run(
        [*command, str(script), served.url + PATH], capture_output=True, text=True, check=True
    )
    took, used = time.perf_counter() - began, cpu_seconds(served.process) - before
    found = re.search(r"^P\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)", ran.stdout, re.MULTILINE)
    assert found is not None, ran.stdout
    p50, p99, requests, errors = map(float, found.groups())
    return {
        "requests": requests,
        "errors": errors,
        "per_s": requests / took,
        "p50_ms": p50 / 1e3,
        "p99_ms": p99 / 1e3,
        "cpu_ms": 1e3 * used / requests,
    }


def first_token_ms(served: Served, streams: int) -> float:
    """Median time to the first token of streams read one after the other, in ms.

    NaN where it can't stream: on Node 20, Portkey answers "Something went wrong" to each.
    """
    at = urlsplit(served.url)
    content = json.dumps({**BODY, "stream": True}).encode()
    lines = {"host": at.netloc, "content-type": "application/json", **served.headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    asked = f"POST {PATH} HTTP/1.1\r\n{head}content-length: {len(content)}\r\n\r\n".encode()
    found = []
    with socket.create_connection((at.hostname, at.port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(streams):
            began = time.perf_counter()
            connection.sendall(asked + content)
            said, first = b"", 0.0
            while not said.endswith((b"0\r\n\r\n", b"}")):
                piece = connection.recv(65536)
                assert piece, f"{served.url} closed: {said[-300:]!r}"
                said += piece
                if not first and b'"content":"w' in said.replace(b'": "', b'":"'):
                    first = time.perf_counter() - began
            if b" 200 " not in said[:20]:
                return float("nan")
            assert first, said[:500]
            found.append(first)
    return 1e3 * statistics.median(found)


def cpu_seconds(process: int) -> float:
    """User and system time of a process and of those below it, so far."""
    ticks = 0
    for one in (process, *harness.children(process)) if process else ():
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def _served(
    command: list[str], port: int, health: str, folder: Path, more: Mapping[str, str]
) -> Iterator[int]:
    log = folder / f"{port}.log"
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    with harness.running(
        command, log, env={**clean, **more}, cwd=folder, stdout=subprocess.DEVNULL
    ) as process:
        harness.wait_for(f"http://127.0.0.1:{port}{health}", process, log)
        yield process.pid


def _python(where: Path, package: str) -> Path:
    """The scripts of an environment that has `package`."""
    if not (where / "bin/pip").is_file():
        subprocess.run([sys.executable, "-m", "venv", str(where)], check=True)
        _install([str(where / "bin/pip"), "install", "--quiet", package])
    return where / "bin"


def _install(command: list[str]) -> None:
    print("installs", command[-1], file=sys.stderr, flush=True)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _post(url: str, document: dict[str, Any]) -> None:
    request = urllib.request.Request(
        url, json.dumps(document).encode(), {"content-type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=30).read()


def summary(rounds: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Medians over rounds; what is added to the mock's own latencies."""
    middle = {
        name: {key: statistics.median(one[key] for one in found) for key in found[0]}
        for name, found in rounds.items()
    }
    direct = middle["mock"]
    for found in middle.values():
        for name in ("p50_ms", "p99_ms", "first_token_ms"):
            found[f"added_{name}"] = found[name] - direct[name]
    return {
        name: {k: round(v, 3) for k, v in found.items() if v == v} for name, found in middle.items()
    }


def bars(found: dict[str, dict[str, float]]) -> dict[str, bool]:
    """What was promised, and whether it holds."""
    mine = found["bursar"]
    held = {
        "CPU of a request <= 1.0 ms": mine["cpu_ms"] <= 1.0,
        "first token delayed by < 2 ms": mine["added_first_token_ms"] < 2.0,
    }
    if "litellm" in found:
        held["throughput >= 10 x LiteLLM's"] = mine["per_s"] >= 10 * found["litellm"]["per_s"]
    if "its_hub" in found:
        held["added p99 < its_hub's"] = mine["added_p99_ms"] < found["its_hub"]["added_p99_ms"]
    return held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--envs", type=Path, help="where the peers are, or are to be installed")
    parser.add_argument("--json", action="store_true", help="print only; keep no results file")
    asked = parser.parse_args()
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in asked.peers}
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder, envs = Path(temporary), asked.envs or Path(temporary) / "envs"
        mock_url = stack.enter_context(harness.mock())
        served = {
            name: stack.enter_context(PEERS[name](folder, envs.absolute(), mock_url))
            for name in asked.peers
        }
        for one in served.values():  # warm
            loaded(one, folder, 2.0)
        for _ in range(asked.rounds):
            for name, one in served.items():
                found = loaded(one, folder, asked.seconds)
                found["first_token_ms"] = first_token_ms(one, asked.streams)
                rounds[name].append(found)
                print(name, {k: round(v, 3) for k, v in found.items()}, file=sys.stderr)
    middle = summary(rounds)
    versions = {"litellm": LITELLM, "its_hub": ITS_HUB, "portkey": PORTKEY}
    found = {"clients": CLIENTS, "versions": versions, "medians": middle, "bars": bars(middle)}
    if not asked.json:
        harness.keep("gateway_peers", {**found, "rounds": rounds})
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
