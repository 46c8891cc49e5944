"""Run a gateway: one worker here, or several processes behind one socket, until told to stop."""

from __future__ import annotations

import asyncio
import gc
import io
import shutil
import socket
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.supervisors import Multiprocess

from bursar.errors import BadInput
from bursar.gateway.app import make_app
from bursar.gateway.config import Config, Server, read_config
from bursar.gateway.opening import Gateway
from bursar.gateway.protocol import GuardedProtocol

_STARTS_S = 60
"""Within which a worker must have imported all it needs: on a busy machine that takes a while, and
one that does not answer by then is killed."""


def serve(config: Config, path: Path | None = None) -> None:
    """Serve until a signal ends it; requests under way are finished first (`server.drain_s`).

    `path` is the configuration's file: when it changes, workers read it again. `check` it first:
    what can't be opened can only end a worker here.
    """
    server = config.server
    shared = Path(tempfile.mkdtemp(prefix="bursar-workers-"))
    settings = uvicorn.Config(
        partial(_worker, config, path, shared),
        factory=True,
        host=server.host,
        port=server.port,
        workers=server.workers,
        loop="uvloop",
        http=_guarded(server),
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=round(server.drain_s),
        timeout_worker_healthcheck=_STARTS_S,
        backlog=4096,
    )
    listening = _listen(server.host, server.port)
    try:
        if server.workers > 1:
            Multiprocess(settings, sockets=[listening]).run()
        else:
            uvicorn.Server(settings).run(sockets=[listening])
    finally:
        listening.close()
        shutil.rmtree(shared, ignore_errors=True)


def check(config: Config) -> list[str]:
    """Open all that `serve` would, and close it again: one line for each model.

    Raises `BadInput` for what can't be opened: a ledger, a key that is not set, a tokenizer.
    """

    async def trial() -> list[str]:
        gateway = await Gateway.open(config, log_to=io.BytesIO())
        try:
            return [
                f"{model.name}: {', '.join(model.rates)}"
                + ("" if model.at.price else "; no price is known, so dollar limits refuse it")
                for model in gateway.counter.desk.models.values()
            ]
        finally:
            await gateway.aclose()

    return asyncio.run(trial())


def _worker(config: Config, path: Path | None, shared: Path) -> Starlette:
    """What a worker process serves; one that is started late reads the file as it is then."""
    now = config if path is None else read_config(path)
    app = make_app(now, watched=path, shared=shared)
    gc.collect()
    gc.freeze()  # modules stay for good: to look through them again would stop everyone for 0.1 s
    return app


def _guarded(server: Server) -> Any:
    """The protocol of connections; uvicorn wants a class, and takes whatever makes one."""
    return partial(
        GuardedProtocol,
        head_bytes=server.head_bytes,
        head_s=server.read_s,
        most=server.connections,
    )


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(4096)
    except OSError as error:
        raise BadInput(
            f"can't listen on {host}:{port}: {error.strerror or error}; choose another "
            "server.host or server.port (--port)"
        ) from None
    listening.set_inheritable(True)
    return listening
