"""Runs a whole job: questions, models, budget, strategy, run folder, record."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bursar.backends import open_backend
from bursar.backends.base import Backend
from bursar.budget import Budget
from bursar.errors import BackendError, BadInput
from bursar.ledger import Ledger
from bursar.reason import strategy as strategy_named
from bursar.reason.base import Round, Strategy
from bursar.reason.calibrate import calibrate
from bursar.reason.compare import Row, Trial, rows
from bursar.reason.memo import Memo
from bursar.reason.models import features
from bursar.reason.profile import Profile
from bursar.reason.purse import Purse
from bursar.reason.solve import Solution, solve
from bursar.reason.workbench import Workbench
from bursar.report.record import Baseline, CompareRecord, CompareRow, SolveRecord, parse_record
from bursar.units import parse_amounts
from bursar.usage import Usage
from bursar.version import __version__
from bursar.workload.tasks import TASKS
from bursar.workload.tasks.base import Question, Task
from bursar.workload.tasks.jsonl import load_jsonl

OnProgress = Callable[[float, Round], None]


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked of a run. `sources`: built-in tasks, "mixed" (all of them), or JSONL files."""

    sources: tuple[str, ...]
    models: tuple[str, ...] = ("tiny-1m",)
    questions: int = 100
    levels: tuple[str, ...] = ()
    split: str = "test"
    checker: str = "exact"
    check: bool = True
    seed: int = 0
    temperature: float = 0.7
    worth: float | None = None
    profile: Path | None = None
    model_options: Mapping[str, Any] = field(default_factory=dict)

    def load(self, seed: int) -> tuple[list[Question], dict[str, Task]]:
        """The questions, sources mixed in an order fixed by `seed`, and the tasks that grade."""
        names = [n for s in self.sources for n in (TASKS if s == "mixed" else (s,))]
        built_in = [n for n in names if n in TASKS]
        if self.questions < max(1, len(built_in)):
            raise BadInput(f"{self.questions} questions asked; ask for at least {len(names)}")
        questions: list[Question] = []
        tasks: dict[str, Task] = {}
        for i, name in enumerate(names):
            if name in TASKS:
                share = (i + 1) * self.questions // len(names) - i * self.questions // len(names)
                levels = [x for x in self.levels if x in TASKS[name].levels] or None
                questions += TASKS[name].generate(share, seed=seed, split=self.split, levels=levels)
                tasks[name] = TASKS[name]
            elif Path(name).suffix in (".jsonl", ".json", ".ndjson") or Path(name).exists():
                task, found = load_jsonl(name, checker=self.checker)
                questions += found
                tasks[task.name] = task
            else:
                known = ", ".join([*TASKS, "mixed"])
                raise BadInput(f"unknown task {name!r}; choose {known}, or a JSONL file")
        order = np.random.default_rng(seed).permutation(len(questions))
        return [questions[i] for i in order], tasks

    def open_models(self) -> dict[str, Backend]:
        """The models by name, in the order asked."""
        return {name: open_backend(name, **self.model_options) for name in self.models}

    def bench(self, purse: Purse, tasks: Mapping[str, Task], seed: int) -> Workbench:
        """A workbench that knows what each model can do besides answering."""
        known = {name: features(name) for name in purse.backends}
        return Workbench(
            purse,
            tasks,
            seed=seed,
            check=self.check,
            scorers={n: f.scorer for n, f in known.items() if f.scorer},
            temperature=self.temperature,
            greedy=frozenset(n for n, f in known.items() if f.greedy),
            revise={n: f.revise for n, f in known.items() if f.revise},
        )

    def strategy(self, name: str) -> Strategy:
        """The strategy called `name`, with this job's settings."""
        if self.worth is not None and not 0 < self.worth < float("inf"):
            raise BadInput(f"worth is {self.worth:g}; a right answer must be worth more than 0")
        profile = Profile.load(self.profile) if self.profile else None
        return strategy_named(name, worth=self.worth, profile=profile)


def run_solve(
    job: Job,
    limits: str,
    strategy: str,
    out: Path,
    *,
    ledger: Path | None,
    baseline: str | None = None,
    command: str = "",
    on_progress: OnProgress | None = None,
) -> tuple[SolveRecord, BackendError | None]:
    """Solve a job's questions within `limits`; the record is also in `out`/run.json.

    Also returns what went wrong upstream, if all calls failed: the record is whole all the same.
    """
    started = datetime.now(UTC)
    amounts = parse_amounts(limits)
    resource = next(iter(amounts))
    questions, tasks = job.load(job.seed)
    models = job.open_models()
    how = job.strategy(strategy)
    out.mkdir(parents=True, exist_ok=True)
    with Ledger(str(ledger or out / "ledger.sqlite")) as book:
        budget = book.budget(f"solve/{out.name}", limits)
        purse = Purse(budget, models)

        def note(now: Round) -> None:
            if on_progress:
                on_progress((now.spent.get(resource) or 0.0) / amounts[resource], now)

        bench = job.bench(purse, tasks, job.seed)
        solution = asyncio.run(_closing(solve(how, questions, bench, note), models))
        record = _solve_record(
            job, strategy, how, questions, solution, budget, resource, started, command
        )
    if baseline:
        record = record.model_copy(
            update={"baselines": (_baseline(job, limits, resource, baseline),)}
        )
    write(record, out)
    return record, purse.failure


def run_compare(
    job: Job,
    strategies: Sequence[str],
    budgets: Sequence[str],
    seeds: Sequence[int],
    *,
    command: str = "",
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[CompareRecord, list[Row]]:
    """Every strategy at every budget with every seed, on the same questions and draws."""
    started = datetime.now(UTC)
    limits = [parse_amounts(b) for b in budgets]
    if len({tuple(x) for x in limits}) != 1 or len(limits[0]) != 1:
        raise BadInput("give every budget to compare at in one and the same resource")
    resource = next(iter(limits[0]))
    trials: list[Trial] = []
    total = len(seeds) * len(strategies) * len(budgets)
    for seed in seeds:
        questions, tasks = job.load(seed)
        memo = {name: Memo(b) for name, b in job.open_models().items()}
        for limit in limits:
            for name in strategies:
                trials.append(_trial(job, name, limit, seed, questions, tasks, memo))
                if on_progress:
                    on_progress(len(trials), total)
    reference = "auto" if "auto" in strategies else strategies[0]
    table = rows(trials, reference)
    record = CompareRecord(
        kind="compare",
        command=command,
        version=__version__,
        started=started.isoformat(timespec="seconds"),
        resource=resource,
        rows=tuple(_compare_row(r, job) for r in table),
        settings=_settings(job),
    )
    return record, table


def run_calibrate(
    job: Job,
    samples: int,
    out: Path,
    *,
    limits: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Profile, Usage]:
    """Calibrate on a job's questions (the training split of built-in tasks); saves the profile."""
    questions, tasks = replace(job, split="train").load(job.seed)
    models = job.open_models()
    purse = Purse(Budget(limits, name="calibrate"), models)
    bench = job.bench(purse, tasks, job.seed)
    work = calibrate(questions, bench, samples, on_progress)
    profile: Profile = asyncio.run(_closing(work, models))
    profile.save(out)
    return profile, purse.spent


def write(record: SolveRecord | CompareRecord, out: Path) -> None:
    """Leave the record in `out`/run.json, whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    part = out / "run.json.part"
    part.write_text(record.model_dump_json(indent=1), encoding="utf-8")
    part.replace(out / "run.json")


def summary(record: SolveRecord, out: Path) -> dict[str, Any]:
    """The JSON of `bursar solve`."""
    return {
        "questions": len(record.questions),
        "answered": record.answered,
        "correct": record.correct,
        "accuracy": record.accuracy,
        "limit": record.limit,
        "spent": record.spent,
        "predicted": record.predicted,
        "price": record.price,
        "run_dir": str(out),
        "strategy": record.strategy,
        "model": record.model,
        "baselines": [b.model_dump() for b in record.baselines],
    }


async def _closing(work: Any, models: Mapping[str, Backend]) -> Any:
    try:
        return await work
    finally:
        for model in models.values():
            await model.aclose()


def _trial(
    job: Job,
    name: str,
    limit: dict[str, float],
    seed: int,
    questions: Sequence[Question],
    tasks: Mapping[str, Task],
    models: Mapping[str, Backend],
) -> Trial:
    ((resource, amount),) = limit.items()
    bench = job.bench(Purse(Budget(limit), models), tasks, seed)
    solution: Solution = asyncio.run(solve(job.strategy(name), questions, bench))
    if None in solution.correct:
        raise BadInput("compare needs questions with a known answer; add `answer` to every line")
    return Trial(
        name,
        amount,
        seed,
        tuple(q.task for q in questions),
        tuple(bool(c) for c in solution.correct),
        solution.spent.get(resource) or 0.0,
        tuple(a.usage.get(resource) or 0.0 for a in solution.answers),
    )


def _baseline(job: Job, limits: str, resource: str, name: str) -> Baseline:
    """The same job by another strategy under a limit of its own."""
    questions, tasks = job.load(job.seed)
    models = job.open_models()
    bench = job.bench(Purse(Budget(limits), models), tasks, job.seed)
    solution = asyncio.run(_closing(solve(job.strategy(name), questions, bench), models))
    if solution.accuracy is None:
        raise BadInput("a baseline needs questions with a known answer; leave --baseline out")
    n = len(questions)
    half = 1.96 * float(np.sqrt(solution.accuracy * (1 - solution.accuracy) / n))
    return Baseline(
        strategy=name,
        spent=solution.spent.get(resource) or 0.0,
        accuracy=solution.accuracy,
        low=max(0.0, solution.accuracy - half),
        high=min(1.0, solution.accuracy + half),
    )


def _solve_record(
    job: Job,
    name: str,
    how: Strategy,
    questions: Sequence[Question],
    solution: Solution,
    budget: Budget,
    resource: str,
    started: datetime,
    command: str,
) -> SolveRecord:
    limit = dict(budget.limits)
    spent = _amounts(solution.spent, limit)
    believed = [a.p_right for a in solution.answers]
    price = solution.rounds[-1].price if solution.rounds else None
    predicted = [r.predicted for r in solution.rounds if r.predicted is not None]
    record = {
        "kind": "solve",
        "command": command,
        "version": __version__,
        "started": started.isoformat(timespec="seconds"),
        "seed": job.seed,
        "strategy": name,
        "model": ", ".join(job.models),
        "task": ", ".join(job.sources),
        "resource": resource,
        "limit": limit,
        "spent": spent,
        "predicted": {resource: sum(predicted)} if predicted else {},
        "price": {} if price is None else {resource: price},
        "answered": sum(a.text is not None for a in solution.answers),
        "correct": solution.num_right,
        "accuracy": solution.accuracy,
        "questions": [
            {
                "id": q.id,
                "task": q.task,
                "level": q.level,
                "answer": a.text,
                "correct": right,
                "p_right": a.p_right,
                "tokens": a.usage.tokens,
                "usd": a.usage.usd,
                "samples": a.attempts,
                "stopped": a.stopped,
            }
            for q, a, right in zip(questions, solution.answers, solution.correct, strict=True)
        ],
        "rounds": [
            {
                "round": i,
                "spent": r.spent.get(resource) or 0.0,
                "price": r.price,
                "expected_right": _expected([p.p_right for p in r.picks]),
                "correct": right,
                "answered": sum(p.answer is not None for p in r.picks),
            }
            for i, (r, right) in enumerate(
                zip(solution.rounds, solution.right_by_round, strict=True), start=1
            )
        ],
        "receipt": {"limit": limit, "spent": spent, "lines": _lines(budget, resource)},
        "settings": {**_settings(job), "expected right": _expected(believed)},
    }
    return parse_record(record)  # type: ignore[return-value]


def _lines(budget: Budget, resource: str) -> list[dict[str, Any]]:
    """The receipt's lines: what was settled, by account and by what was bought."""
    grouped: dict[tuple[str, str], list[Any]] = {}
    for line in budget.lines:
        grouped.setdefault((line.path, line.what.split(" ")[0]), []).append(line)
    return [
        {
            "account": path,
            "what": what,
            "calls": len(lines),
            "tokens_in": (total := Usage.total(x.usage for x in lines)).tokens_in,
            "tokens_out": total.tokens_out,
            "usd": total.usd,
            "predicted": None,
            "measured": total.get(resource),
        }
        for (path, what), lines in grouped.items()
    ]


def _amounts(usage: Usage, limit: Mapping[str, float]) -> dict[str, float | None]:
    amounts = usage.to_dict()
    return {"tokens": usage.tokens, **amounts} if "tokens" in limit else amounts


def _expected(believed: Sequence[float | None]) -> float | None:
    known = [p for p in believed if p is not None]
    return sum(known) if known else None


def _compare_row(row: Row, job: Job) -> CompareRow:
    return CompareRow(
        task=row.task,
        model=", ".join(job.models),
        strategy=row.strategy,
        budget=row.budget,
        spent=row.spent,
        accuracy=row.accuracy,
        low=row.low,
        high=row.high,
        seeds=row.seeds,
    )


def _settings(job: Job) -> dict[str, str | int | float | bool | None]:
    return {
        "questions": job.questions,
        "split": job.split,
        "levels": ", ".join(job.levels) or "all",
        "temperature": job.temperature,
        "checkers asked": job.check,
        "worth": job.worth,
    }


def run_dir(root: Path, job: Job, kind: str = "solve") -> Path:
    """A fresh folder for a run, named by time, what was asked, and the seed."""
    what = "-".join(Path(s).stem for s in job.sources)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    first = root / f"{stamp}-{kind}-{what}-{job.seed}"
    folder, i = first, 1
    while folder.exists():
        folder, i = first.with_name(f"{first.name}-{i}"), i + 1
    return folder
