"""`bursar simulate`: a trace served by replicas of a deployment, on virtual time."""

from __future__ import annotations

import math
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bursar.catalog import device, model
from bursar.cost import Deployment
from bursar.cost.calibration import Calibration, calibration
from bursar.cost.tables import Engine
from bursar.errors import BadInput
from bursar.fleet import Goal
from bursar.policies.batching import BATCHING
from bursar.policies.routing import ROUTING
from bursar.policies.scaling import SCALING
from bursar.report.serving_record import (
    Distribution,
    GoalRecord,
    SimulateRecord,
    TimelineRecord,
)
from bursar.run.folder import new_folder, write
from bursar.simulate import (
    Scaling,
    Server,
    Simulation,
    Timeline,
    server_of,
    simulate,
)
from bursar.units import parse_amounts
from bursar.version import __version__
from bursar.workload.traces.formats import read_recording

_CURVE_POINTS = 400
"""Of a distribution: more than a chart has room for."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What is to be simulated; names are the catalogue's."""

    model: str
    device: str
    tp: int = 1
    pp: int = 1
    dp: int = 1
    dtype: str = "bf16"
    kv_dtype: str = "bf16"
    replicas: int = 1
    policy: str = "sarathi"
    router: str = "round_robin"
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

    def controls(self) -> tuple[Scaling, ...]:
        """What rents and gives back replicas meanwhile."""
        if self.scale == "fixed":
            return ()
        return (
            Scaling(
                SCALING[self.scale](),
                self.cold_start_seconds,
                minimum=self.replicas,
                maximum=self.most_replicas,
            ),
        )

    def server(self, place: Deployment) -> Server:
        """What a replica is made of."""
        return replace(server_of(place), prefix_cache=self.prefix_cache)

    def deployment(self) -> Deployment:
        """One replica. Raises `BadInput` for unknown names and unreadable files."""
        require_known("policy", self.policy, BATCHING)
        require_known("router", self.router, ROUTING)
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


def run_simulate(
    serving: Serving, path: Path, speed: float, goal: Goal, *, out: Path, command: str = ""
) -> SimulateRecord:
    """Simulate the trace in a file, `speed` times as fast; record and report are also in `out`.

    Raises `BadInput` for unknown names and unreadable traces, `Infeasible` when the model does not
    fit; then nothing is left in `out`.
    """
    started = datetime.now(UTC)
    place = serving.deployment()
    with new_folder(out):
        recording = read_recording(path)
        if not len(recording.trace):
            raise BadInput(
                f"{path}: holds no request that was served; there is nothing to simulate"
            )
        server = serving.server(place)
        start = time.perf_counter()
        found = simulate(
            recording.trace.sped_up(speed),
            server,
            BATCHING[serving.policy](),
            replicas=serving.replicas,
            router=ROUTING[serving.router](),
            controls=serving.controls(),
        )
        seconds = time.perf_counter() - start
        replicas = math.ceil(found.timeline.replicas.max() - 1e-6)
        attained = found.attainment(ttft_s=goal.ttft_s, tpot_s=goal.tpot_s)
        record = SimulateRecord(
            kind="simulate",
            command=command,
            version=__version__,
            started=started.isoformat(timespec="seconds"),
            model=place.model.name,
            device=place.device.name,
            replicas=replicas,
            devices=place.devices * replicas,
            policy=serving.policy,
            router=serving.router,
            scale=serving.scale,
            trace=path.name,
            goal=GoalRecord(ttft_s=goal.ttft_s, tpot_s=goal.tpot_s),
            left_out=recording.left_out,
            slo_attainment=None if goal == Goal() else attained,
            wall_seconds=seconds,
            settings={
                "trace": str(path),
                "speed": speed,
                **{name: getattr(serving, name) for name in Serving.__slots__},
            },
            **_figures(found, server, replicas),
        )
        write(record, out)
    return record


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


def _figures(found: Simulation, server: Server, replicas: int) -> dict[str, Any]:
    """What the simulation says, as a record has it."""
    served, used = int(found.served.sum()), found.usage
    latencies = {"ttft_s": found.ttft_s, "tpot_s": found.tpot_s, "e2e_s": found.e2e_s}
    curves = {name: _distribution(seconds) for name, seconds in latencies.items()}
    each = 1 / served if served else None
    return found.summary() | {
        "joules_per_request": used.joules * each if used.joules is not None and each else None,
        "usd_per_1k_requests": 1e3 * used.usd * each if used.usd is not None and each else None,
        "block_tokens": server.block_tokens,
        "capacity_blocks": server.blocks * replicas,
        "distributions": {name: curve for name, curve in curves.items() if curve is not None},
        "timeline": _timeline(found.timeline),
    }


def _distribution(seconds: NDArray[np.float64]) -> Distribution | None:
    """The curve through at most `_CURVE_POINTS` of the values, the ends among them."""
    known = np.sort(seconds[np.isfinite(seconds)])
    if not len(known):
        return None
    rows = np.linspace(0, len(known) - 1, min(len(known), _CURVE_POINTS)).round().astype(int)
    shares = (rows + 1) / len(known)
    return Distribution(seconds=tuple(known[rows].tolist()), shares=tuple(shares.tolist()))


def _timeline(line: Timeline) -> TimelineRecord:
    return TimelineRecord(
        width_seconds=line.width_seconds,
        until_seconds=line.until_seconds,
        waiting=_rounded(line.waiting),
        running=_rounded(line.running),
        blocks=_rounded(line.blocks),
        watts=None if line.watts is None else _rounded(line.watts),
        replicas=_rounded(line.replicas),
    )


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(values.round(3).tolist())
