"""`bursar solve`: check, spend, and leave a record whatever happens on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from bursar.budget import Budget
from bursar.errors import BackendError, BadInput, BursarError
from bursar.ledger import Ledger
from bursar.reason.base import Round, Strategy
from bursar.reason.purse import Purse
from bursar.reason.solve import Solution, solve
from bursar.reason.workbench import Workbench
from bursar.report.record import SolveRecord
from bursar.run.checks import check_gradable, check_limits, check_strategy
from bursar.run.folder import new_folder, write
from bursar.run.job import Job
from bursar.run.models import running
from bursar.run.records import Spent, baseline_record, cut_short, solve_record
from bursar.units import format_amount, parse_amounts
from bursar.usage import Usage
from bursar.workload.tasks.base import Question

OnProgress = Callable[[float, Round], None]


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
) -> tuple[SolveRecord, BaseException | None]:
    """Solve a job's questions within `limits`; record and report are also in `out`.

    Also returns what ended the run before its time, if anything did: a model, the ledger or the
    person who interrupted it. The record is whole all the same. Raises, having made and spent
    nothing, for what can be known beforehand to be wrong.
    """
    started = datetime.now(UTC)
    amounts = parse_amounts(limits)
    questions, tasks = job.load(job.seed)
    how = job.strategy(strategy)
    beside = job.strategy(baseline) if baseline else None
    if baseline:
        check_gradable(questions, tasks, "--baseline")
    models = job.open_models()
    bench = job.bench(Purse(Budget(limits), models), tasks, job.seed)
    check_limits(questions, bench, amounts)
    for each in (how, beside):
        if each:
            check_strategy(each, questions, bench)
    with (
        new_folder(out),
        Ledger(str(ledger or out / "ledger.sqlite")) as book,
        running(models) as runner,
    ):

        def run(kind: str, how: Strategy, progress: OnProgress | None) -> _Ended:
            account = _free_account(book, f"{kind}/{out.name}")
            purse = Purse(book.budget(account, limits), models)
            bench = job.bench(purse, tasks, job.seed)
            return _spend(runner, how, questions, bench, amounts, progress)

        ended = run("solve", how, on_progress)
        record = solve_record(
            job, strategy, questions, ended.solution, ended.spent, started, command
        )
        failure = _unwritten(record, out) or ended.failure
        if baseline and beside and failure is None:
            ended = run("baseline", beside, None)
            failure = ended.failure
            if failure is None:
                line = baseline_record(baseline, ended.solution, ended.spent.resource)
                record = record.model_copy(update={"baselines": (line,)})
                failure = _unwritten(record, out)
    return record, failure


def _unwritten(record: SolveRecord, out: Path) -> BadInput | None:
    """Why the record could not be written, if so: it can still be shown."""
    try:
        write(record, out)
    except BadInput as error:
        return error
    return None


@dataclass(frozen=True, slots=True)
class _Ended:
    """How spending ended: `failure` is what ended it before its time."""

    solution: Solution
    spent: Spent
    failure: BaseException | None


def _spend(
    runner: asyncio.Runner,
    how: Strategy,
    questions: Sequence[Question],
    bench: Workbench,
    amounts: Mapping[str, float],
    on_progress: OnProgress | None,
) -> _Ended:
    """Spend a workbench's purse; what was got for it, also when that ends in an error."""
    budget, rounds = bench.purse.budget, list[Round]()
    resource = next(iter(amounts))

    def note(now: Round) -> None:
        rounds.append(now)
        if on_progress:
            on_progress((now.spent.get(resource) or 0.0) / amounts[resource], now)

    failure: BaseException | None
    try:
        solution = runner.run(solve(how, questions, bench, note))
        failure = _overrun(budget, amounts) or bench.purse.failure or _left_out(bench, solution)
        return _Ended(solution, Spent(budget.path, amounts, budget.lines, Usage.zero()), failure)
    except (Exception, KeyboardInterrupt) as error:
        failure = _upstream(error)
    spent = Spent(budget.path, amounts, budget.lines, _held(budget))
    solution = cut_short(questions, bench.tasks, rounds, spent, bench.backends)
    return _Ended(solution, spent, failure)


def _overrun(budget: Budget, amounts: Mapping[str, float]) -> BackendError | None:
    """What to say when a server used, or says it used, more than it was allowed to."""
    for resource, limit in amounts.items():
        spent = budget.spent.get(resource)
        if spent is None or spent <= limit:
            continue
        if resource == "seconds":
            return BackendError(
                f"the run took {spent:.4g} s of {limit:g} s: a model did not end in time; give it "
                "fewer tokens to say, or a quieter machine"
            )
        if budget.overrun:
            return BackendError(
                f"the model reports more than it was allowed to use: "
                f"{format_amount(resource, spent)} of {format_amount(resource, limit)}. It is "
                "booked in full; compare it with the provider's bill, or use another server"
            )
    return None


def _left_out(bench: Workbench, solution: Solution) -> BackendError | None:
    """What to say when calls failed and questions were left without an answer."""
    failures = bench.purse.failures
    unanswered = sum(a.text is None for a in solution.answers)
    if not failures or not unanswered:
        return None
    return BackendError(
        f"{failures[0]}. In all {len(failures)} calls failed, and {unanswered} of "
        f"{len(solution.answers)} questions have no answer"
    )


def _upstream(error: BaseException) -> BaseException:
    """A ledger that could be used and then could not is an upstream that failed."""
    if isinstance(error, BursarError) and isinstance(error.__cause__, SQLAlchemyError):
        return BackendError(
            f"{str(error).removesuffix('. Nothing was recorded')}. What was under way is charged "
            "at its upper bound once its hold expires"
        )
    return error


def _held(budget: Budget) -> Usage:
    """The bounds of calls whose end could not be booked; unknown when the ledger can't be read."""
    try:
        return budget.held
    except BursarError:
        return Usage()


def _free_account(book: Ledger, wanted: str) -> str:
    """`wanted`, numbered when another run has it: a ledger may be shared by many."""
    taken = {account.path for account in book.accounts()}
    names = (wanted if i == 0 else f"{wanted}-{i}" for i in range(len(taken) + 1))
    return next(name for name in names if name not in taken)
