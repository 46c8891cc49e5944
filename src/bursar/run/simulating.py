"""`bursar simulate`: a trace served by replicas of a deployment, on virtual time."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bursar.cost import Deployment
from bursar.errors import BadInput
from bursar.fleet import Goal
from bursar.fleet.splitwise import PREFILL_TOKENS
from bursar.policies.batching import ByPriority, PrefillFirst
from bursar.report.serving_record import (
    ClassRecord,
    Distribution,
    GoalRecord,
    SimulateRecord,
    SwapsRecord,
    TimelineRecord,
    UsersRecord,
)
from bursar.run.folder import new_folder, write
from bursar.run.serving import Serving
from bursar.simulate import (
    Pool,
    Server,
    Simulation,
    Timeline,
    simulate,
    simulate_split,
    simulate_users,
)
from bursar.version import __version__
from bursar.workload.traces import ClosedLoop, EmpiricalLengths, Trace, read_recording

_CURVE_POINTS = 400
"""Of a distribution: more than a chart has room for."""
_READING_SECONDS = 2.0
"""Power is read so often; a breaker bears more for a moment."""
_CLASSES = 100
"""Of priorities, and of tenants: more than anybody reads."""


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
        trace = recording.trace.sped_up(speed)
        serving.require_possible(trace, speed)
        start = time.perf_counter()
        found, servers = _played(serving, place, trace)
        seconds = time.perf_counter() - start
        record = SimulateRecord(
            kind="simulate",
            command=command,
            version=__version__,
            started=started.isoformat(timespec="seconds"),
            model=place.model.name,
            device=place.device.name,
            replicas=len(servers),
            prefill_replicas=serving.prefill_replicas or 0,
            prefill_device=None
            if serving.prefill_replicas is None
            else serving.prefill_deployment().device.name,
            devices=place.devices * len(servers),
            policy=serving.policy,
            router=serving.routing,
            scale=serving.scale,
            trace=path.name,
            goal=GoalRecord(ttft_s=goal.ttft_s, tpot_s=goal.tpot_s),
            users=_users(serving, trace),
            left_out=recording.left_out,
            breaker_watts=serving.breaker_watts(),
            wall_seconds=seconds,
            settings={
                "trace": str(path),
                "speed": speed,
                **{name: getattr(serving, name) for name in Serving.__slots__},
                "router": serving.routing,
            },
            **_figures(found, servers, goal),
        )
        write(record, out)
    return record


def _played(
    serving: Serving, place: Deployment, trace: Trace
) -> tuple[Simulation, tuple[Server, ...]]:
    """What comes of it, and the servers that there were at most at once."""
    server, policy, router = serving.server(place), serving.batching(), serving.routes(trace)
    replicas = serving.replicas
    if serving.users is not None:
        loop = ClosedLoop.drawn(
            serving.users,
            _turns(serving.users, trace),
            serving.think_seconds,
            EmpiricalLengths.fit(trace),
            np.random.default_rng(serving.seed),
        )
        found = simulate_users(loop, server, policy, replicas=replicas, router=router)
        return found, (server,) * replicas
    if serving.prefill_replicas is not None:
        sender, prompts = serving.prefill_deployment(), PrefillFirst(max_tokens=PREFILL_TOKENS)
        first = Pool(
            serving.server(sender),
            ByPriority(prompts) if serving.priorities else prompts,
            serving.prefill_replicas,
            router,
        )
        second = Pool(server, policy, replicas, router)
        found = simulate_split(trace, first, second, serving.cache_link(sender))
        return found, (first.server,) * first.replicas + (server,) * replicas
    controls = serving.controls(place, trace)
    found = simulate(trace, server, policy, replicas=replicas, router=router, controls=controls)
    return found, (server,) * math.ceil(found.timeline.replicas.max() - 1e-6)


def _turns(users: int, trace: Trace) -> int:
    """Of each user, so that together they ask at least as often as the trace."""
    return -(-len(trace) // max(users, 1))


def _users(serving: Serving, trace: Trace) -> UsersRecord | None:
    if serving.users is None:
        return None
    return UsersRecord(
        users=serving.users,
        turns=_turns(serving.users, trace),
        think_seconds=serving.think_seconds,
    )


def _figures(found: Simulation, servers: tuple[Server, ...], goal: Goal) -> dict[str, Any]:
    """What the simulation says, as a record has it."""
    served, used, sent = int(found.served.sum()), found.usage, found.transfers
    latencies = {"ttft_s": found.ttft_s, "tpot_s": found.tpot_s, "e2e_s": found.e2e_s}
    curves = {name: _distribution(seconds) for name, seconds in latencies.items()}
    each = 1 / served if served else None
    watts = found.timeline.watts
    swaps = SwapsRecord(
        blocks_out=sent.blocks_out, blocks_in=sent.blocks_in, stalled_seconds=sent.stalled_seconds
    )
    return found.summary() | {
        "slo_attainment": _attainment(found, goal),
        "requests_per_second": served / used.seconds if used.seconds else None,
        "swaps": None if servers[0].host is None else swaps,
        "by_priority": _by_priority(found, goal),
        "by_tenant": _by_tenant(found, goal),
        "joules_per_request": used.joules * each if used.joules is not None and each else None,
        "usd_per_1k_requests": 1e3 * used.usd * each if used.usd is not None and each else None,
        "peak_watts": None if watts is None else _peak(watts, found.timeline.width_seconds),
        "block_tokens": servers[0].block_tokens,
        "capacity_blocks": sum(server.blocks for server in servers),
        "distributions": {name: curve for name, curve in curves.items() if curve is not None},
        "timeline": _timeline(found.timeline),
    }


def _by_priority(found: Simulation, goal: Goal) -> dict[str, ClassRecord]:
    priority = found.trace.priority
    if priority is None:
        return {}
    levels = np.unique(priority)[:_CLASSES].tolist()
    return {str(level): _class(found, priority == level, goal) for level in levels}


def _by_tenant(found: Simulation, goal: Goal) -> dict[str, ClassRecord]:
    tenant = found.trace.tenant
    if tenant is None:
        return {}
    asked = np.bincount(tenant.codes, minlength=len(tenant.names))
    order = [i for i in np.argsort(-asked, kind="stable")[:_CLASSES].tolist() if asked[i]]
    return {tenant.names[i]: _class(found, tenant.codes == i, goal) for i in order}


def _class(found: Simulation, rows: NDArray[np.bool_], goal: Goal) -> ClassRecord:
    return ClassRecord.model_validate(
        {
            "requests": int(rows.sum()),
            "completed": int(found.served[rows].sum()),
            "slo_attainment": _attainment(found, goal, rows),
            **found.latencies(rows),
        }
    )


def _attainment(
    found: Simulation, goal: Goal, rows: NDArray[np.bool_] | None = None
) -> float | None:
    if goal == Goal():
        return None
    return found.attainment(ttft_s=goal.ttft_s, tpot_s=goal.tpot_s, of=rows)


def _peak(watts: NDArray[np.float64], width_seconds: float) -> float:
    """The highest mean over `_READING_SECONDS`, or over a bin that is longer."""
    bins = min(math.ceil(_READING_SECONDS / width_seconds), len(watts))
    return float(np.convolve(watts, np.full(bins, 1 / bins), "valid").max())


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
