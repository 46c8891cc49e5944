"""`Gateway`: all parts of one worker process, opened together and closed together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Self

from bursar.gateway.config import Config, ModelAt
from bursar.gateway.counter import LOG, Counter
from bursar.gateway.desk import Desk
from bursar.gateway.duty import keep_up
from bursar.gateway.idempotency import Answers
from bursar.gateway.janitor import keep_sweeping, worker_name
from bursar.gateway.models import open_models, open_upstream
from bursar.gateway.near import Near
from bursar.gateway.own_secret import own_secret
from bursar.gateway.placing import Placing
from bursar.gateway.present import RUNNING, Present
from bursar.gateway.principal import OpenDoor
from bursar.gateway.reload import watch
from bursar.gateway.routes import open_routes
from bursar.gateway.seen.gauges import add_gauges
from bursar.gateway.seen.journal import Journal
from bursar.gateway.seen.logs import Logs
from bursar.gateway.seen.metrics import Metrics
from bursar.gateway.seen.traces import traces
from bursar.gateway.tenants.admin import Office
from bursar.gateway.tenants.courier import Courier
from bursar.gateway.tenants.directory import KeyDirectory
from bursar.gateway.tenants.end_users import EndUsers
from bursar.gateway.tenants.policy import Degrading
from bursar.gateway.tenants.session import Opens, Sessions
from bursar.gateway.tenants.store import Tenants
from bursar.gateway.tenants.watch import Watch
from bursar.gateway.tenants.webhooks import Webhooks
from bursar.gateway.thinking import Thinker
from bursar.gateway.upstream.base import Upstream
from bursar.gateway.upstream.in_turn import InTurn
from bursar.ledger import Ledger

HEALTH_S = 15.0
"""Between two looks at an upstream's health."""


@dataclass(slots=True)
class Gateway:
    """Open it with `async with`, in the process and on the event loop that will use it.

    `watched` is the configuration's file, read again when it changes; `shared` a folder in which
    the workers of one machine tell each other what they counted.
    """

    config: Config
    ledger: Ledger
    counter: Counter
    office: Office
    present: Present
    journal: Journal
    metrics: Metrics
    logs: Logs
    _closing: AsyncExitStack

    @classmethod
    async def open(
        cls,
        config: Config,
        *,
        watched: Path | None = None,
        shared: Path | None = None,
        opened: Callable[[ModelAt], Upstream] = open_upstream,
        log_to: BinaryIO | None = None,
    ) -> Self:
        """Open everything; raises `BadInput`, leaving nothing open, where something can't be.

        The log goes to `log_to`, stdout when it is not given.
        """
        async with AsyncExitStack() as closing:
            place = config.ledger.where
            ledger = Ledger(
                place, ttl_s=config.ledger.ttl_s, worker=worker_name(), sync=config.ledger.sync
            )
            closing.callback(ledger.close)
            tenants = Tenants.at(place, ledger)
            closing.callback(tenants.close)
            journal = Journal(place, keep_days=config.seen.keep_days)
            closing.callback(journal.close)
            metrics = Metrics(shared)
            closing.callback(metrics.close)
            logs = Logs(config.seen.log_level, log_to)
            closing.callback(logs.close)
            _say_through(logs, closing)
            tracer = traces(config.seen.traces)
            closing.callback(tracer.close)
            thinker = Thinker()
            closing.callback(thinker.close)
            models = open_models(config, opened)
            watch_limits = Watch(tenants.database, ledger, tenants.budgets)
            near = Near(watch_limits, Degrading(**config.near.model_dump()))
            users = EndUsers(tenants.database, ledger)
            routes = open_routes(config.routes, models)
            placing = Placing(ledger, models, config.requests, routes, near, users)
            desk = Desk(placing, thinker)

            async def close_models() -> None:
                for model in desk.models.values():
                    await model.aclose()

            closing.push_async_callback(close_models)
            door = _door(config, ledger, tenants, closing)
            answers = Answers(tenants.database, lease_s=config.requests.timeout_s + 30.0)
            counter = Counter(config, desk, door, answers, tracer, [journal, metrics, logs])
            metrics.gauge(
                "bursar_live_requests", "Under way.", (), lambda: [((), float(len(counter.live)))]
            )
            present = Present(counter, tenants, metrics)
            metrics.share(RUNNING, present.running_here)
            add_gauges(metrics, present, journal)
            metrics.gauge("bursar_waiting", "Wait for their turn.", ("model",), present.waiting)
            ledger.watch_commits(metrics.commit_took)
            secret = own_secret(config)
            insecure = bool(config.access.webhook_hosts)
            webhooks = Webhooks(tenants.database, secret, insecure=insecure)
            courier = Courier(webhooks, allowed=frozenset(config.access.webhook_hosts))
            duties: list[Coroutine[Any, Any, None]] = [
                keep_sweeping(ledger),
                keep_up("limits are not watched", watch_limits.look, 1.0),
                keep_up("webhooks are not sent", courier.deliver, 1.0),
                keep_up("health is not checked", partial(_check_health, desk), HEALTH_S),
            ]
            if watched is not None:
                duties.append(watch(watched, counter, opened))
            closing.push_async_callback(_end, [asyncio.create_task(duty) for duty in duties])
            logs.event("start", models=list(models))
            closing.callback(logs.event, "stop")
            return cls(
                config,
                ledger,
                counter,
                Office(tenants, door, Sessions(door, secret), webhooks),
                present,
                journal,
                metrics,
                logs,
                closing.pop_all(),
            )

    async def aclose(self) -> None:
        """Close everything; requests must have ended."""
        await self._closing.aclose()


def _door(config: Config, ledger: Ledger, tenants: Tenants, closing: AsyncExitStack) -> Opens:
    """Who may come in: whoever has a key, or everybody on this machine."""
    if config.access.keys == "required":
        directory = KeyDirectory(tenants.database).start()
        closing.callback(directory.close)
        return directory
    door = OpenDoor()
    if config.access.limits:
        ledger.set_limits(door.principal.account, config.access.limits)
    return door


async def _check_health(desk: Desk) -> None:
    pools = [m.upstream.pool for m in desk.models.values() if isinstance(m.upstream, InTurn)]
    await asyncio.gather(*(pool.check_health() for pool in pools))


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def _say_through(logs: Logs, closing: AsyncExitStack) -> None:
    """What our modules log comes out as lines too."""
    handler = logs.handler()
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    propagates, LOG.propagate = LOG.propagate, False

    def undo() -> None:
        LOG.removeHandler(handler)
        LOG.propagate = propagates

    closing.callback(undo)
