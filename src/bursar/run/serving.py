"""`Serving`: what `bursar simulate` is asked for, checked, and as the simulator takes it."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from bursar.catalog import device, model
from bursar.cost import Deployment
from bursar.cost.calibration import Calibration, calibration
from bursar.cost.tables import Engine
from bursar.errors import BadInput, Infeasible
from bursar.policies.batching import BATCHING, BatchPolicy, ByPriority, BySwap
from bursar.policies.migration import Freest, Llumnix
from bursar.policies.power import Polca
from bursar.policies.routing import ROUTING, Router
from bursar.policies.routing import ByPriority as RouteByPriority
from bursar.policies.scaling import SCALING
from bursar.simulate import (
    HostMemory,
    Link,
    Migration,
    PhasedTimes,
    PowerCap,
    Scaling,
    Server,
    host_memory_of,
    link_of,
    server_of,
)
from bursar.simulate.controls import Control
from bursar.simulate.phase_power import phase_power_of
from bursar.units import parse_amounts
from bursar.workload.traces import Trace

ROUTERS = {**ROUTING, "freest": Freest}
"""Name -> what makes the router, Llumnix's among them."""

_HOST_BYTES_PER_SECOND = 25e9
"""What copies over a PCIe 4 x16 slot reach..."""
_COPY_SECONDS = 10e-6
"""...and how long it takes to begin one."""

_ACTING = ("--scale", "--migrate", "--breaker")
_APART = {
    "--prefill-replicas": (
        "what acts on a fleet takes all its replicas for alike",
        (*_ACTING, "--host-memory"),
    ),
    "--host-memory": (
        "neither shared blocks nor what acts on a fleet know caches on the host",
        (*_ACTING, "--prefix-cache"),
    ),
    "--users": (
        "of users' requests only lengths are drawn, and they meet replicas that are all alike and "
        "stay as they are",
        (*_ACTING, "--prefill-replicas", "--priorities", "--prefix-cache"),
    ),
    "--breaker": (
        "which replica may slow down is settled beforehand, and requests must stay there",
        ("--scale", "--migrate"),
    ),
}
"""Option -> why it does not go with these others."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What is to be simulated; names are the catalogue's, amounts as people write them."""

    model: str
    device: str
    tp: int = 1
    pp: int = 1
    dp: int = 1
    dtype: str = "bf16"
    kv_dtype: str = "bf16"
    replicas: int = 1
    policy: str = "sarathi"
    router: str = ""
    """"": the usual one, see `routing`."""
    engine: str = "vllm"
    tables: str = ""
    """A folder of measured operator tables; "": coefficients fitted to others'."""
    calibration: str = ""
    """A file that `bursar calibrate --serving` wrote; "": what ships."""
    prefix_cache: bool = False
    scale: str = "fixed"
    most_replicas: int = 64
    """When scaled, which is never below `replicas`."""
    cold_start_seconds: float = 60.0
    prefill_replicas: int | None = None
    """Replicas for prompts; the `replicas` are then for answers. None: each does both."""
    prefill_device: str = ""
    """Of these; "": the same."""
    link: str = ""
    """Over which a replica sends caches to others, "25 GB/s"; "": the devices' own links."""
    host_memory: str = ""
    """For each device, "64 GB", where preempted caches go; "": they are computed again."""
    priorities: bool = False
    """Whether who waits displaces running requests of less priority."""
    migrate: bool = False
    """Whether running requests move to freer replicas."""
    breaker: str = ""
    """What all devices together may draw, "30 kW"; "": there is no limit."""
    users: int | None = None
    """Users who ask, wait and think, with the trace's lengths; None: the trace as it is."""
    think_seconds: float = 5.0
    """Mean time of these users between an answer and the next question."""
    seed: int = 0
    """Of what these users draw."""

    def deployment(self) -> Deployment:
        """One replica. Raises `BadInput` for unknown names and unreadable files."""
        require_known("policy", self.policy, BATCHING)
        if self.router:
            require_known("router", self.router, ROUTERS)
        require_known("scale", self.scale, SCALING)
        return Deployment(
            model(self.model),
            device(self.device),
            tp=self.tp,
            pp=self.pp,
            dp=self.dp,
            dtype=self.dtype,
            kv_dtype=self.kv_dtype,
            engine=Engine.parse(self.engine),
            calibration=self.known(),
        )

    def known(self) -> Calibration:
        """What its predictions rest on. Raises `BadInput` for unreadable files."""
        return calibration(as_path(self.tables), as_path(self.calibration))

    def prefill_deployment(self) -> Deployment:
        """One replica for prompts. Raises as `deployment`."""
        return replace(self, device=self.prefill_device or self.device).deployment()

    def require_possible(self, trace: Trace, speed: float) -> None:
        """Raises `BadInput` for options that don't go together, or not with this trace."""
        given = self._given()
        for option, (why, others) in _APART.items():
            for other in others:
                if option in given and other in given:
                    raise BadInput(
                        f"{given[option]} with {given[other]}: {why}; leave one of the two out"
                    )
        if self.prefill_device and self.prefill_replicas is None:
            raise BadInput(
                f"--prefill-device {self.prefill_device} is for --prefill-replicas; give both"
            )
        if self.link and self.prefill_replicas is None and not self.migrate:
            raise BadInput(
                f"--link {self.link!r} is for --prefill-replicas and --migrate; give one of them"
            )
        most = self.replicas if self.scale == "fixed" else self.most_replicas
        if self.migrate and most < 2:
            raise BadInput(f"--migrate with {most} replica: there is no other; give --replicas 2")
        if self.priorities and trace.priority is None:
            raise BadInput(
                "--priorities: the trace has none; add a column `priority` of whole numbers, the "
                "smaller the more urgent, or leave the option out"
            )
        if self.breaker and self.priorities:
            if self.router:
                raise BadInput(
                    f"--router {self.router} with --breaker and --priorities: urgent requests go "
                    "to replicas that are capped last; leave out one of the three"
                )
            if self.replicas < 2:
                raise BadInput(
                    f"--breaker with --priorities and {self.replicas} replica: the urgent need "
                    "their own; give --replicas 2 or leave out --priorities"
                )
        if self.users is not None and speed != 1:
            raise BadInput(
                f"--speed {speed:g} with --users {self.users}: users ask when they have been "
                "answered; leave one of the two out"
            )

    def _given(self) -> dict[str, str]:
        """Option -> how it was given, of those that do not go with all others."""
        amounts = {
            "--prefill-replicas": self.prefill_replicas,
            "--users": self.users,
            "--host-memory": self.host_memory and f'"{self.host_memory}"',
            "--breaker": self.breaker and f'"{self.breaker}"',
            "--scale": self.scale if self.scale != "fixed" else "",
        }
        flags = {
            "--migrate": self.migrate,
            "--priorities": self.priorities,
            "--prefix-cache": self.prefix_cache,
        }
        given = {name: f"{name} {x}" for name, x in amounts.items() if x not in (None, "")}
        return given | {name: name for name, on in flags.items() if on}

    # --- as the simulator takes it ---------------------------------------------------------------

    def server(self, place: Deployment) -> Server:
        """What a replica is made of."""
        server = replace(
            server_of(place), prefix_cache=self.prefix_cache, host=self._host_memory(place)
        )
        if self.breaker:
            return replace(server, times=PhasedTimes(server.times, phase_power_of(place)))
        return server

    def batching(self) -> BatchPolicy:
        """Who runs, and how it makes room."""
        policy = BATCHING[self.policy]()
        if self.priorities:
            policy = ByPriority(policy)
        return BySwap(policy) if self.host_memory else policy

    @property
    def routing(self) -> str:
        """The router's name: the one asked for, or the usual one."""
        if self.router:
            return self.router
        if self.breaker and self.priorities:
            return "by_priority"
        if self.migrate:
            return "freest"
        return "round_robin" if self.prefill_replicas is None else "least_jobs"

    def routes(self, trace: Trace) -> Router:
        """The router; a row with a breaker has replicas for urgent requests."""
        if self.routing == "by_priority":
            return RouteByPriority(self.urgent_replicas(trace))
        return ROUTERS[self.routing]()

    def urgent_replicas(self, trace: Trace) -> int:
        """How many are for requests of priority 0: their share of the tokens, but at least one."""
        if not self.priorities or trace.priority is None:
            return 0
        tokens = trace.input_tokens + trace.output_tokens
        share = float(tokens[trace.priority == 0].sum() / tokens.sum())
        return min(max(round(share * self.replicas), 1), self.replicas - 1)

    def controls(self, place: Deployment, trace: Trace) -> tuple[Control, ...]:
        """What acts on the replicas meanwhile. Raises `Infeasible` if idling is too much power."""
        found: list[Control] = []
        if self.scale != "fixed":
            found.append(
                Scaling(
                    SCALING[self.scale](),
                    self.cold_start_seconds,
                    minimum=self.replicas,
                    maximum=self.most_replicas,
                )
            )
        if self.migrate:
            found.append(Migration(Llumnix(), self.cache_link(place)))
        if (watts := self.breaker_watts()) is not None:
            idle = self.replicas * phase_power_of(place).idle_watts
            if watts <= idle:
                raise Infeasible(
                    f'--breaker "{self.breaker}": {self.replicas} replicas draw {idle:.0f} W when '
                    "they do nothing; raise it or take fewer"
                )
            found.append(PowerCap(Polca(), watts, self.urgent_replicas(trace)))
        return tuple(found)

    def breaker_watts(self) -> float | None:
        """The limit in watts; None without one."""
        if not self.breaker:
            return None
        match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([km]?)w\s*", self.breaker.lower())
        if match is None or not float(match[1]):
            raise BadInput(
                f'--breaker is {self.breaker!r}; give a power above zero such as "30 kW" or "700 W"'
            )
        return float(match[1]) * {"": 1.0, "k": 1e3, "m": 1e6}[match[2]]

    def cache_link(self, place: Deployment) -> Link:
        """What a replica sends caches over: half of its devices' links, which count both ways.

        Each device of a request sends the part of the cache that it has.
        """
        if self.link:
            return link_of(place, _bytes_per_second(self.link, "--link"))
        if place.device.link_bytes_per_second is None:
            raise BadInput(f'{place.device.name} has no known link; give --link "25 GB/s"')
        return link_of(place, place.tp * place.pp * place.device.link_bytes_per_second / 2)

    def _host_memory(self, place: Deployment) -> HostMemory | None:
        if not self.host_memory:
            return None
        size, _, rate = (part.strip() for part in self.host_memory.partition(","))
        speed = _bytes_per_second(rate, "--host-memory") if rate else _HOST_BYTES_PER_SECOND
        return host_memory_of(place, _bytes(size, "--host-memory"), speed, _COPY_SECONDS)


def as_path(text: str) -> Path | None:
    """An option that was not given is no path."""
    return Path(text) if text else None


def parse_seconds(text: str | None, name: str) -> float | None:
    """A duration such as "2 s" or "60 ms"; None stays None."""
    if text is None:
        return None
    amounts = parse_amounts(text)
    if set(amounts) != {"seconds"}:
        raise BadInput(f'{name} is {text!r}; give a time such as "2 s" or "60 ms"')
    return amounts["seconds"]


def require_known(kind: str, name: str, known: Collection[str]) -> None:
    """Raises `BadInput` for a name that is none of the known ones."""
    if name not in known:
        raise BadInput(f"unknown {kind} {name!r}; use one of {', '.join(known)}")


def _bytes_per_second(text: str, name: str) -> float:
    amount, _, per = text.rpartition("/")
    if per.strip() != "s":
        raise BadInput(f'{name} has the rate {text!r}; give bytes a second such as "25 GB/s"')
    return _bytes(amount, name)


def _bytes(text: str, name: str) -> float:
    amounts = parse_amounts(text)
    if set(amounts) != {"bytes_moved"} or not amounts["bytes_moved"]:
        raise BadInput(f'{name} has {text!r}; give bytes above zero such as "64 GB"')
    return amounts["bytes_moved"]
