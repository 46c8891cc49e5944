"""`bursar compare`: strategies and models at equal limits, on the same questions and draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bursar.budget import Budget
from bursar.errors import BadInput
from bursar.reason.compare import Row, rows, standings
from bursar.reason.purse import Purse
from bursar.report.record import CompareRecord
from bursar.run.checks import check_gradable, check_limits, check_strategy
from bursar.run.folder import new_folder, write
from bursar.run.job import Job
from bursar.run.models import running
from bursar.run.records import compare_record
from bursar.run.trials import PLACES, Batch, Notes
from bursar.units import parse_amounts


def run_compare(
    job: Job,
    strategies: Sequence[str] | None,
    budgets: Sequence[str],
    seeds: Sequence[int],
    *,
    models: Sequence[Sequence[str]] = (),
    out: Path | None = None,
    resume: bool = False,
    on: str = "here",
    command: str = "",
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[CompareRecord, list[Row]]:
    """Every strategy on every set of `models` (the job's, without any) at every budget and seed.

    Strategies None: all that the models can follow. Record, report and each trial, as soon as it
    is done, are in `out`; with `resume` those that it holds are not run again. Raises, having spent
    nothing, for what can be known beforehand to be wrong; after a failure, which is raised, the
    record is of the trials that were finished.
    """
    started = datetime.now(UTC)
    limits = _limits(budgets)
    jobs = [replace(job, models=tuple(names)) for names in models] or [job]
    wanted = _wanted(jobs, strategies, limits, seeds)
    notes = Notes(out, _in_common(job, limits)) if out is not None else None
    trials = notes.read() if notes and resume else []
    done = {(t.model, t.strategy, t.budget, t.seed) for t in trials}
    resource = next(iter(limits[0]))
    batches = []
    for batch in wanted:
        left = [
            (name, limit)
            for name, limit in batch.wanted
            if (batch.model, name, limit[resource], batch.seed) not in done
        ]
        if left:
            batches.append(replace(batch, wanted=tuple(left), out=out))
    for batch in batches:
        _check(batch, min(limits, key=lambda limit: limit[resource]))
    names = [t.strategy for t in trials] + [name for b in batches for name, _ in b.wanted]
    reference = "auto" if "auto" in names else names[0]

    def record() -> tuple[CompareRecord, list[Row]]:
        table = rows(trials, reference)
        made = compare_record(jobs, table, standings(trials), reference, resource, started, command)
        if out is not None:
            write(made, out)
        return made, table

    with ExitStack() as stack:
        if out is not None and notes is not None:
            stack.enter_context(new_folder(out))
            if not resume:
                notes.begin()
        try:
            for trial in PLACES[on](batches):
                trials.append(trial)
                if notes:
                    notes.add(trial)
                if on_progress:
                    on_progress(len(trials), len(done) + sum(len(b.wanted) for b in batches))
        except (Exception, KeyboardInterrupt):
            if trials:
                record()
            raise
    return record()


def _wanted(
    jobs: Sequence[Job],
    strategies: Sequence[str] | None,
    limits: Sequence[Mapping[str, float]],
    seeds: Sequence[int],
) -> list[Batch]:
    """All trials, in batches. Raises `BadInput` for a strategy that a model can't follow."""
    batches = []
    for job in jobs:
        names = list(dict.fromkeys(job.strategies() if strategies is None else strategies))
        if not names or not seeds:
            raise BadInput(
                f"{len(names)} strategies, {len(seeds)} seeds: give at least one of each"
            )
        for name in names:
            job.strategy(name)
        every = tuple((name, limit) for limit in limits for name in names)
        batches += [Batch(job, seed, every) for seed in dict.fromkeys(seeds)]
    return batches


def _check(batch: Batch, least: Mapping[str, float]) -> None:
    questions, tasks = batch.job.load(batch.seed)
    check_gradable(questions, tasks, "comparing")
    models = batch.job.open_models()
    with running(models):
        bench = batch.job.bench(Purse(Budget(least), models), tasks, batch.seed)
        check_limits(questions, bench, least)
        for name in dict.fromkeys(name for name, _ in batch.wanted):
            check_strategy(batch.job.strategy(name), questions, bench)


def _in_common(job: Job, limits: Sequence[Mapping[str, float]]) -> dict[str, object]:
    """What trials must have in common to stand in one table."""
    return {"sources": list(job.sources), "resource": next(iter(limits[0])), **job.settings()}


def _limits(budgets: Sequence[str]) -> list[dict[str, float]]:
    limits = [parse_amounts(text) for text in budgets]
    resources = list(dict.fromkeys(r for limit in limits for r in limit))
    if len(resources) != 1:
        raise BadInput(
            f"budgets in {' and '.join(resources) or 'nothing'} can't be compared; give all in one "
            'resource, such as "10k tokens, 40k tokens"'
        )
    if resources == ["seconds"]:
        raise BadInput(
            "strategies can't be compared in seconds: they share their draws, so only the first "
            'would wait for them; give budgets such as "10k tokens, 40k tokens"'
        )
    return [limit for i, limit in enumerate(limits) if limit not in limits[:i]]
