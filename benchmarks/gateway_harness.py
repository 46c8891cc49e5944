"""What the gateway's benchmarks start: the counting mock, `bursar serve`, PostgreSQL.

Each is a process group of its own that ends with its `with` block.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machine import cpu

HERE = Path(__file__).parent
SERVE = "from bursar.cli import main; import sys; sys.argv[0] = 'bursar'; main()"
POSTGRES = "/usr/lib/postgresql/*/bin"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str], log: Path | None = None, **settings: Any
) -> Iterator[subprocess.Popen[str]]:
    """A process group, ended with SIGTERM and, when that does not help, SIGKILL."""
    with open(log or os.devnull, "a") as errors:
        process = subprocess.Popen(
            command,
            text=True,
            start_new_session=True,
            **{"stdout": errors, **settings},
            stderr=errors,
        )
    try:
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(20)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        if process.stdout:
            process.stdout.close()


@contextmanager
def mock(**settings: Any) -> Iterator[str]:
    """The counting mock's address; see `gateway_mock.py` for its settings."""
    command = [sys.executable, str(HERE / "gateway_mock.py")]
    for name, value in settings.items():
        values = value if isinstance(value, tuple) else (value,)
        shown = [json.dumps(v) if isinstance(v, dict) else str(v) for v in values]
        command += [f"--{name}", *shown]
    with running(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


def config(
    mock_url: str,
    place: str,
    more: str = "",
    model: str = "",
    retries: int = 0,
    upstreams: Sequence[str] = ("mock",),
) -> str:
    """A gateway's configuration with one model, "mock"; `more` and `model` are TOML."""
    served = [f'[[models.upstreams]]\nurl = "{mock_url}/v1"\nname = "{n}"' for n in upstreams]
    return f"""
[server]
drain_s = 5.0
[ledger]
place = "{place}"
{more}
[[models]]
name = "mock"
context_tokens = 32000
max_output_tokens = 4096
retries = {retries}
{model}
""" + "\n".join(served)


@contextmanager
def gateway(folder: Path, text: str, workers: int = 1) -> Iterator[tuple[str, int]]:
    """`bursar serve` with a configuration: its address and its supervisor's process."""
    port = free_port()
    path = folder / f"gateway{port}.toml"
    path.write_text(text)
    command = [sys.executable, "-c", SERVE, "serve", "--config", str(path)]
    command += ["--port", str(port), "--workers", str(workers)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE.parent / "src"),
        "OMP_NUM_THREADS": "1",
        "BURSAR_SECRET": "of-no-worth-beyond-this-run" * 2,
    }
    log = folder / f"gateway{port}.log"
    with running(command, log, env=environment) as process:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/health", process, log)
        yield url, process.pid


def wait_for(url: str, process: subprocess.Popen[str], log: Path, within_s: float = 90) -> None:
    """Until `url` answers."""
    until = time.monotonic() + within_s
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).read()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{url} does not answer: {log.read_text()[-2000:]}") from None
            time.sleep(0.05)


def counts(mock_url: str) -> dict[str, list[dict[str, Any]]]:
    """What the mock would bill: request id -> its calls."""
    with urllib.request.urlopen(f"{mock_url}/counts", timeout=60) as reply:
        return json.load(reply)  # type: ignore[no-any-return]


@contextmanager
def postgres() -> Iterator[str]:
    """The address of an empty database on a server of one's own.

    PostgreSQL refuses to run as root; then it runs as the user "postgres".
    """
    (binaries,) = sorted(Path("/").glob(POSTGRES[1:]))[-1:]
    user = "postgres" if os.getuid() == 0 else None
    port = free_port()
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        if user:
            shutil.chown(folder, user)
        data = Path(folder) / "data"
        options: dict[str, Any] = {"user": user, "cwd": folder, "stdout": subprocess.DEVNULL}
        initdb = [str(binaries / "initdb"), "-D", str(data), "-U", "bursar", "-A", "trust", "-N"]
        subprocess.run(initdb, check=True, **options)
        serve = [str(binaries / "postgres"), "-D", str(data), "-p", str(port), "-k", folder]
        with running([*serve, "-h", "127.0.0.1"], **options):
            until = time.monotonic() + 30
            ready = [str(binaries / "pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-q"]
            while subprocess.run(ready).returncode:
                assert time.monotonic() < until, "PostgreSQL does not start"
                time.sleep(0.1)
            yield f"postgresql+psycopg://bursar@127.0.0.1:{port}/postgres"


def children(process: int) -> list[int]:
    """The processes that `process` has started and that still run, and theirs."""
    listed = Path(f"/proc/{process}/task/{process}/children")
    found = [int(number) for number in listed.read_text().split()]
    return [*found, *(number for child in found for number in children(child))]


def workers_of(supervisor: int) -> list[int]:
    """The worker processes of a gateway; the resource tracker of multiprocessing is none."""

    def line(process: int) -> str:
        return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")

    found = []
    for process in children(supervisor):
        try:
            if "spawn_main" in line(process):
                found.append(process)
        except OSError:
            continue
    return found


def about() -> dict[str, Any]:
    """When, on what, and with which command."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{cpu()}, {os.cpu_count()} cores",
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
    }


def keep(name: str, found: dict[str, Any]) -> None:
    """Write a results file."""
    path = HERE / "results" / f"{name}.json"
    path.write_text(json.dumps({**about(), **found}, indent=2) + "\n")
