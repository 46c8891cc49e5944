"""`bursar compare`: strategies at equal limits, on the same questions and the same draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bursar.backends.base import Backend
from bursar.budget import Budget
from bursar.errors import BadInput
from bursar.reason.compare import Row, Trial, rows
from bursar.reason.counted import Counted, check_books
from bursar.reason.memo import Memo
from bursar.reason.purse import Purse
from bursar.reason.solve import solve
from bursar.report.record import CompareRecord
from bursar.run.booked import booking
from bursar.run.checks import check_gradable, check_limits
from bursar.run.folder import write
from bursar.run.job import Job
from bursar.run.models import running
from bursar.run.records import compare_record
from bursar.units import parse_amounts
from bursar.workload.tasks.base import Question, Task


def run_compare(
    job: Job,
    strategies: Sequence[str],
    budgets: Sequence[str],
    seeds: Sequence[int],
    *,
    out: Path | None = None,
    command: str = "",
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[CompareRecord, list[Row]]:
    """Every strategy at every budget with every seed, on the same questions and draws.

    Record and report are also in `out`; after a failure, which is raised, those of the trials that
    were finished. Raises, having spent nothing, for what can be known beforehand to be wrong.
    """
    started = datetime.now(UTC)
    names, limits = list(dict.fromkeys(strategies)), _limits(budgets)
    if not names or not seeds:
        raise BadInput(f"{len(names)} strategies, {len(seeds)} seeds: give at least one of each")
    for name in names:
        job.strategy(name)
    loaded = {seed: job.load(seed) for seed in seeds}
    resource = next(iter(limits[0]))
    least = min(limits, key=lambda limit: limit[resource])
    reference = "auto" if "auto" in names else names[0]
    trials: list[Trial] = []

    def record() -> tuple[CompareRecord, list[Row]]:
        table = rows(trials, reference)
        made = compare_record(job, table, resource, started, command)
        if out is not None:
            write(made, out)
        return made, table

    models = job.open_models()
    for questions, tasks in loaded.values():
        check_gradable(questions, tasks, "comparing")
        check_limits(questions, job.bench(Purse(Budget(least), models), tasks, 0), least)
    with booking(models, out) as booked, running(models) as runner:
        try:
            for seed, (questions, tasks) in loaded.items():
                memo = {name: Memo(model) for name, model in booked.items()}
                for limit in limits:
                    for name in names:
                        trial = _trial(job, name, limit, seed, questions, tasks, memo)
                        trials.append(runner.run(trial))
                        if on_progress:
                            on_progress(len(trials), len(loaded) * len(limits) * len(names))
        except (Exception, KeyboardInterrupt):
            if trials:
                record()
            raise
    return record()


async def _trial(
    job: Job,
    name: str,
    limit: Mapping[str, float],
    seed: int,
    questions: Sequence[Question],
    tasks: Mapping[str, Task],
    models: Mapping[str, Backend],
) -> Trial:
    ((resource, amount),) = limit.items()
    counted = {model: Counted(backend) for model, backend in models.items()}
    bench = job.bench(Purse(Budget(limit), counted), tasks, seed)
    solution = await solve(job.strategy(name), questions, bench)
    if bench.purse.failure:
        raise bench.purse.failure
    check_books(bench.purse, counted.values(), name)
    return Trial(
        name,
        amount,
        seed,
        tuple(q.task for q in questions),
        tuple(bool(c) for c in solution.correct),
        solution.spent.get(resource) or 0.0,
        tuple(a.usage.get(resource) or 0.0 for a in solution.answers),
    )


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
