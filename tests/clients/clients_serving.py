"""A real `bursar serve` process before a counting upstream, and scripts of clients against it."""

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from bursar.ledger import Ledger
from counting_upstream import CountingUpstream

ROOT = Path(__file__).parents[2]
OTHERS = ROOT / ".venv-clients"
"""Where `make clients` puts the clients that don't share our own packages."""

CONFIG = """
[server]
port = {port}
workers = {workers}
[ledger]
place = "{folder}/gateway.sqlite"
[requests]
timeout_s = 20
auto = ["m"]
[access]
keys = "none"
{limits}
[[models]]
name = "m"
usd_per_mtok_in = 1.0
usd_per_mtok_out = 2.0
retries = 0
[[models.upstreams]]
name = "mock"
url = "{url}"
"""


@dataclass
class Served:
    """A gateway, what is behind it, and its books."""

    url: str
    upstream: CountingUpstream
    place: str
    before: tuple[int, int] = (0, 0)

    def ledger_s(self) -> tuple[int, int]:
        """(tokens in, tokens out) charged so far, once all holds are closed; the books verify."""
        with Ledger(self.place, create=False) as ledger:
            before = time.monotonic() + 10
            while any(not hold.expired for hold in ledger.open_holds()):
                assert time.monotonic() < before, "a hold stays open"
                time.sleep(0.01)
            ledger.verify()
            spent = [t.spent for t in ledger.accounts() if t.path == "local"]
        return (
            int(sum(s.tokens_in or 0 for s in spent)),
            int(sum(s.tokens_out or 0 for s in spent)),
        )

    def check_sums(self) -> None:
        """Since the test began, the ledger charged what the upstream counted."""
        now = self.ledger_s()
        charged = now[0] - self.before[0], now[1] - self.before[1]
        assert charged == self.upstream.billed
        assert self.upstream.made, "the client asked nothing"


def start(
    folder: Path, upstream: CountingUpstream, limits: str = "", workers: int = 1
) -> tuple[Served, subprocess.Popen]:
    """A process that serves; end it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "gateway.toml"
    said = f'limits = "{limits}"' if limits else ""
    config.write_text(
        CONFIG.format(
            port=port, workers=workers, folder=folder, url=upstream.base_url, limits=said
        ),
        "utf-8",
    )
    log = (folder / "log.txt").open("w")
    process = subprocess.Popen(
        [sys.executable, "-c", "from bursar.cli import main; main()", "serve", "--config", config],
        stdout=log,
        stderr=log,
        start_new_session=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    url = f"http://127.0.0.1:{port}"
    before = time.monotonic() + 60
    while True:
        assert process.poll() is None, (folder / "log.txt").read_text("utf-8")
        assert time.monotonic() < before
        try:
            if httpx.get(f"{url}/health", timeout=1).status_code == 200:
                break
        except httpx.TransportError:
            time.sleep(0.05)
    log.close()
    return Served(f"{url}/v1", upstream, str(folder / "gateway.sqlite")), process


def stop(process) -> None:
    process.terminate()
    assert process.wait(20) in (0, -15)


def run_client(command: list[str | Path], cwd: Path, **environment: str) -> dict:
    """What a client's script prints on its last line, a JSON document."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, "OPENAI_API_KEY": "none", "NO_COLOR": "1", **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])
