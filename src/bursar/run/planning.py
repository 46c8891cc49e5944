"""`bursar plan`: a fleet for a trace and a goal, the fleets it was preferred to, how sure it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bursar.allocate.demand import DOLLARS, UNITS
from bursar.errors import BadInput
from bursar.fleet.apex import OBJECTIVES
from bursar.fleet.candidates import loads
from bursar.fleet.commands import kubernetes, manifests, notes, sglang_serve, vllm_serve
from bursar.fleet.confidence import chance, log_spread, slower, worth_measuring
from bursar.fleet.kinds import kinds
from bursar.fleet.market import MARKETS, Spot, crossover
from bursar.fleet.plan import HOSTED, FleetPlans, Request, plan_fleet
from bursar.fleet.planned import FleetPlan
from bursar.fleet.settings import Setting, Tried, families, predicted, settings
from bursar.policies.batching import BATCHING, BatchPolicy
from bursar.report.serving_record import GoalRecord, PlanRecord
from bursar.run.folder import new_folder, write
from bursar.run.serving import require_known
from bursar.version import __version__
from bursar.workload.traces import Trace, read_trace

USUAL_DEVICES = (
    *("l4", "l40s", "a10g", "a100-sxm-80gb"),
    *("h100-sxm", "h200-sxm", "b200-sxm", "mi300x"),
)
"""Data-centre devices with a rental price in the catalogue."""


def run_plan(
    request: Request,
    path: Path,
    speed: float,
    *,
    policy: str | None,
    limits: dict[str, float] | None,
    objective: str = "cost",
    out: Path,
    on_progress: Callable[[float, str], None],
    command: str = "",
    given: Mapping[str, str] | None = None,
) -> PlanRecord:
    """Plan for the trace in a file, `speed` times as fast; record and report are also in `out`.

    `policy`: a name; None for what the engine can run. Its limits are searched in both cases.
    `given`: further settings that the record is to show, such as the files of a calibration.
    `on_progress` is told the share done, and what is next in a word. Raises `BadInput` for what
    can't be read, `Infeasible` when there is no plan; then nothing is left in `out`.
    """
    started, goal = datetime.now(UTC), request.goal
    names = families(request.engine.name) if policy is None else (policy,)
    for name in names:
        require_known("policy", name, BATCHING)
    for market in request.markets:
        require_known("market", market, MARKETS)
    require_known("objective", objective, OBJECTIVES)
    with new_folder(out):
        trace = read_trace(path).sped_up(speed)
        planning = _Planning(request, trace, names, limits, objective)
        record = PlanRecord(
            kind="plan",
            command=command,
            version=__version__,
            started=started.isoformat(timespec="seconds"),
            model=request.model.name,
            trace=path.name,
            goal=GoalRecord(ttft_s=goal.ttft_s, tpot_s=goal.tpot_s),
            attainment=request.attainment,
            budget_usd_per_hour=(limits or {}).get(DOLLARS),
            budget=limits,
            objective=objective,
            settings={
                "trace": str(path),
                "speed": speed,
                "devices": ", ".join(one.name for one in request.devices),
                "dtypes": ", ".join(request.dtypes),
                "policy": ", ".join(names),
                "engine": request.engine.label,
                **(given or {}),
                "markets": ", ".join(request.markets),
                **{f"spot {name}": getattr(request.spot, name) for name in Spot.__slots__},
            },
            **planning.run(on_progress),
        )
        write(record, out)
    return record


@dataclass(frozen=True, slots=True)
class _Planning:
    """A request with a goal, the trace it is for, and the policies that the instances may run."""

    request: Request
    trace: Trace
    policies: tuple[str, ...]
    limits: dict[str, float] | None
    objective: str

    def run(self, on_progress: Callable[[float, str], None]) -> dict[str, Any]:
        """The plan's part of the record. Raises `Infeasible` when there is none."""
        policy = self.planned_with
        offered = settings(self.policies)
        plans = plan_fleet(
            self.request,
            self.trace,
            policy,
            limits=self.limits,
            objective=self.objective,
            with_front=True,
            offered=offered,
            on_progress=lambda share, says: on_progress(0.9 * share, says),
        )
        on_progress(0.9, "chance")
        best, alone = plans.best, plans.alone
        runs = next((s for s in offered if s.policy == plans.policy), offered[0])
        own = [c.deployment for p in (best, *alone.values()) for c in p.instances]
        spread = log_spread(own[0]) if own else 0.0
        record = {
            "feasible": True,
            **self._record(best, runs),
            "tried": [_tried(one) for one in plans.tried],
            "excluded_settings": plans.excluded,
            "probability": chance(lambda factor: self._met(best, runs, factor), spread)
            if best.instances
            else None,
            "frontier": self._frontier(plans),
            "crossover_requests_per_second": self._crossover(alone),
            "worth_measuring": worth_measuring(self._costs(alone), spread) if own else {},
            "binding": [f"{name}: {why}" for name, why in plans.binding.items()],
        }
        on_progress(1.0, "")
        return record

    def _frontier(self, plans: FleetPlans) -> list[dict[str, Any]]:
        """The best fleet of each device alone, and all others on the front."""
        usual = next(s for s in settings(self.policies) if s.policy == self.planned_with)
        rows = [{"devices": [n], **self._row(plan, usual)} for n, plan in plans.alone.items()]
        known = [row["fleet"] for row in rows]
        for plan in plans.front:
            row = self._row(plan, usual)
            if row["fleet"] not in known:
                name = plan.instances[0].deployment.device.name
                rows.append({"devices": [name], "alone": False, **row})
        axes = ("usd_per_1k_requests", "e2e_mean_s", "joules_per_request")
        drawn = np.array([[np.inf if r[a] is None else r[a] for a in axes] for r in rows])
        for row, own in zip(rows, drawn, strict=True):
            better = np.all(drawn <= own, axis=1) & np.any(drawn < own, axis=1)
            row["on_front"] = not better.any()
        return rows

    @property
    def planned_with(self) -> BatchPolicy:
        """What instances run until settings are searched."""
        return BATCHING[self.policies[0]]()

    def _met(self, plan: FleetPlan, runs: Setting, factor: float) -> bool:
        """Whether the plan meets the goal when everything takes `factor` times as long."""
        places = [slower(c.deployment, factor) for c in plan.instances]
        result = plan.again(places, runs.policy)
        return result.attainment(self.request.goal) >= self.request.attainment

    def _costs(self, alone: dict[str, FleetPlan]) -> dict[str, float]:
        """Dollars an hour for the same traffic on each device alone."""
        rate = float(np.mean([p.requests_per_second for p in alone.values()])) if alone else 0.0
        own = {n: p for n, p in alone.items() if p.instances}
        return {n: p.usd_per_hour * rate / p.requests_per_second for n, p in own.items()}

    def _crossover(self, alone: dict[str, FleetPlan]) -> float | None:
        """From which rate on an instance is cheaper than the hosted API, if that is offered."""
        if HOSTED not in alone:
            return None
        rates = kinds(self.trace).requests_per_second
        own = {c.name: c for plan in alone.values() for c in plan.instances}
        full = {name: rates.sum() / loads([c], rates).sum() for name, c in own.items()}
        return crossover(
            ((c.usd_per_hour, full[name]) for name, c in own.items()),
            alone[HOSTED].usd_per_hour / 3600 / alone[HOSTED].requests_per_second,
        )

    def _row(self, plan: FleetPlan, runs: Setting) -> dict[str, Any]:
        """A plan in one line: what it costs, carries and takes."""
        steady = predicted(plan) or (None, None)
        return {
            "usd_per_hour": plan.usd_per_hour,
            "watts": plan.watts,
            "gpus": plan.gpus,
            "requests_per_second": plan.requests_per_second,
            "usd_per_1k_requests": plan.usd_per_hour / plan.requests_per_second / 3.6,
            "slo_attainment": plan.attainment,
            "ttft_p99_s": _quantile(plan.simulated.ttft_s, 0.99),
            "tpot_p99_s": _quantile(plan.simulated.tpot_s, 0.99),
            "e2e_mean_s": _mean(plan.simulated.e2e_s),
            "joules_per_request": plan.joules_per_request,
            "ttft_mean_s": _mean(plan.simulated.ttft_s),
            "tpot_mean_s": _mean(plan.simulated.tpot_s),
            "predicted_ttft_s": steady[0],
            "predicted_tpot_s": steady[1],
            "fleet": [
                {
                    "device": c.deployment.device.name,
                    "count": n * c.deployment.devices,
                    "replicas": n,
                    "tp": c.deployment.tp,
                    "pp": c.deployment.pp,
                    "ep": c.deployment.tp * c.deployment.dp if c.deployment.dp > 1 else 1,
                    "dp": c.deployment.dp,
                    "dtype": c.deployment.dtype,
                    "policy": runs.name,
                    **runs.limits,
                    "market": c.market,
                }
                for c, n in zip(plan.instances, plan.counts, strict=True)
            ],
            "hosted": {
                "name": plan.hosted_name,
                "share": plan.hosted_share,
                "usd_per_hour": plan.hosted_usd_per_hour,
            }
            if plan.hosted_share > 0
            else None,
        }

    def _record(self, plan: FleetPlan, runs: Setting) -> dict[str, Any]:
        model, policy = self.request.model.name, runs.policy
        around = [notes(c.deployment) for c in plan.instances]
        lines = [vllm_serve(c.deployment, model, policy) for c in plan.instances]
        return self._row(plan, runs) | {
            "price": plan.prices.get(DOLLARS),
            "prices": plan.prices,
            "gap": plan.fleet.gap,
            "predicted": {"fill": list(plan.fill)},
            "simulated": {"requests": len(plan.trace), "slo_attainment": plan.attainment},
            "commands": {
                "vllm": lines,
                "sglang": [sglang_serve(c.deployment, model, policy) for c in plan.instances],
                "notes": [note for note in dict.fromkeys(around) if note],
            },
            "kubernetes": manifests(
                kubernetes(
                    f"{model}-{c.deployment.device.name}-{i}".replace("@", "-").lower(),
                    *(line, c.deployment, n),
                )
                for i, (c, line, n) in enumerate(
                    zip(plan.instances, lines, plan.counts, strict=True)
                )
            ),
        }


_BUDGETS = {
    "usd/h": (DOLLARS, 1.0),
    "$/h": (DOLLARS, 1.0),
    "w": ("watts", 1.0),
    "kw": ("watts", 1e3),
    "mw": ("watts", 1e6),
    "gpu": ("gpus", 1.0),
    "gpus": ("gpus", 1.0),
    "devices": ("gpus", 1.0),
}
"""Unit, in lower case -> what it limits, and in how many of its units."""


def parse_budget(text: str | None) -> dict[str, float] | None:
    """Limits of a fleet from "20 USD/h, 5 kW, 8 GPUs"; None stays None. Raises `BadInput`."""
    if text is None:
        return None
    limits: dict[str, float] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-z$/]+)\s*", part.lower())
        if match is None or match[2] not in _BUDGETS:
            raise BadInput(
                f"the budget is {text!r}; give dollars an hour, power or devices, such as "
                '"20 USD/h", "5 kW" or "8 GPUs", joined by commas'
            )
        name, factor = _BUDGETS[match[2]]
        if name in limits:
            raise BadInput(f"{UNITS[name]} are limited twice in {text!r}: name them once")
        limits[name] = float(match[1]) * factor
    return limits


def parse_caps(text: str) -> list[float]:
    """Shares of the TDP from "1.0, 0.7", the full one among them. Raises `BadInput`."""
    try:
        shares = {float(part) for part in text.split(",")}
    except ValueError:
        raise BadInput(
            f'--power-caps is {text!r}; give shares of the TDP joined by commas, such as "1, 0.7"'
        ) from None
    return sorted(shares | {1.0}, reverse=True)


def _tried(one: Tried) -> dict[str, Any]:
    met, limits = one.simulated, one.setting.limits
    joules = [part.usage.joules for part in met.parts if part is not None]
    known = [x for x in joules if x is not None]
    return {
        "policy": one.setting.name,
        "max_tokens": limits.get("max_tokens"),
        "max_jobs": limits.get("max_jobs"),
        "slo_attainment": one.attainment,
        "ttft_p99_s": _quantile(met.ttft_s, 0.99),
        "tpot_p99_s": _quantile(met.tpot_s, 0.99),
        "e2e_mean_s": _mean(met.e2e_s),
        "joules_per_request": sum(known) / len(met.e2e_s) if len(known) == len(joules) else None,
        "ttft_mean_s": _mean(met.ttft_s),
        "tpot_mean_s": _mean(met.tpot_s),
    }


def _mean(seconds: Any) -> float | None:
    known = seconds[np.isfinite(seconds)]
    return float(np.mean(known)) if len(known) else None


def _quantile(seconds: Any, q: float) -> float | None:
    known = seconds[np.isfinite(seconds)]
    return float(np.quantile(known, q)) if len(known) else None
