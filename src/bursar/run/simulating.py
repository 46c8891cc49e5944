"""`bursar simulate`: a trace served by replicas of a deployment, on virtual time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bursar.catalog import device, model
from bursar.cost import Deployment
from bursar.errors import BadInput
from bursar.fleet import Goal
from bursar.policies.batching import BATCHING
from bursar.policies.routing import ROUTING
from bursar.simulate import Simulation, server_of, simulate
from bursar.units import parse_amounts
from bursar.workload.traces.formats import read_recording


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

    def run(self, path: Path, speed: float, goal: Goal) -> tuple[Simulation, dict[str, Any]]:
        """Simulate the trace in a file, `speed` times as fast; the simulation and its record.

        Raises `BadInput` for unknown names and unreadable traces, `Infeasible` when the model does
        not fit.
        """
        for kind, name, known in (
            ("policy", self.policy, BATCHING),
            ("router", self.router, ROUTING),
        ):
            if name not in known:
                raise BadInput(f"unknown {kind} {name!r}; use one of {', '.join(known)}")
        place = Deployment(
            model(self.model),
            device(self.device),
            tp=self.tp,
            pp=self.pp,
            dp=self.dp,
            dtype=self.dtype,
            kv_dtype=self.kv_dtype,
        )
        recording = read_recording(path)
        if not len(recording.trace):
            raise BadInput(
                f"{path}: holds no request that was served; there is nothing to simulate"
            )
        start = time.perf_counter()
        found = simulate(
            recording.trace.sped_up(speed),
            server_of(place),
            BATCHING[self.policy](),
            replicas=self.replicas,
            router=ROUTING[self.router](),
        )
        seconds = time.perf_counter() - start
        attained = found.attainment(ttft_s=goal.ttft_s, tpot_s=goal.tpot_s)
        record = found.summary() | {
            "slo_attainment": None if goal == Goal() else attained,
            "left_out": recording.left_out,
            "devices": place.devices * self.replicas,
            "wall_seconds": seconds,
        }
        return found, record


def parse_seconds(text: str | None, name: str) -> float | None:
    """A duration such as "2 s" or "60 ms"; None stays None."""
    if text is None:
        return None
    amounts = parse_amounts(text)
    if set(amounts) != {"seconds"}:
        raise BadInput(f'{name} is {text!r}; give a time such as "2 s" or "60 ms"')
    return amounts["seconds"]
