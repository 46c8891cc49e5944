"""From what a run did to what it leaves behind: pure data, for a report and for JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from bursar.answer import Answer
from bursar.budget import Line
from bursar.reason.base import Bought, Pick, Round
from bursar.reason.compare import Row, Standing, interval
from bursar.reason.solve import Solution, grade
from bursar.receipt import Receipt
from bursar.report.record import (
    ArmLine,
    Baseline,
    CompareRecord,
    CompareRow,
    NextLine,
    Place,
    QuestionLine,
    ReceiptLine,
    ReceiptRecord,
    SolveRecord,
    parse_record,
    receipt_record,
)
from bursar.report.record import Round as RoundRecord
from bursar.run.job import Job
from bursar.usage import Usage
from bursar.version import __version__
from bursar.workload.tasks.base import Question, Task


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run's account was charged, call by call, and what is held of it for ever after.

    `unsettled` is at its upper bound: calls whose end the ledger could not be told.
    """

    account: str
    limits: Mapping[str, float]
    lines: tuple[Line, ...]
    unsettled: Usage

    @property
    def resource(self) -> str:
        """The limited resource that is named first: the one that charts are drawn over."""
        return next(iter(self.limits))

    @property
    def total(self) -> Usage:
        return Usage.total([*(line.usage for line in self.lines), self.unsettled])


def cut_short(
    questions: Sequence[Question],
    tasks: Mapping[str, Task],
    rounds: Sequence[Round],
    spent: Spent,
    models: Sequence[str],
) -> Solution:
    """What is known of a run that ended in the middle: the answers of its last whole round."""
    picks = rounds[-1].picks if rounds else (Pick(None, None),) * len(questions)
    bought: dict[str, list[Usage]] = {}
    for line in spent.lines:
        bought.setdefault(_what(line, models)[1], []).append(line.usage)
    graded = [
        tuple(grade(q, p.answer, tasks) for q, p in zip(questions, r.picks, strict=True))
        for r in rounds
    ]
    return Solution(
        answers=tuple(
            Answer(
                question_id=q.id,
                text=pick.answer,
                p_right=pick.p_right,
                attempts=len(bought.get(q.id, [])),
                usage=Usage.total(bought.get(q.id, [])),
                stopped="cut short",
            )
            for q, pick in zip(questions, picks, strict=True)
        ),
        correct=graded[-1] if graded else tuple(grade(q, None, tasks) for q in questions),
        rounds=tuple(rounds),
        right_by_round=tuple(None if None in g else sum(map(bool, g)) for g in graded),
        spent=spent.total,
    )


def baseline_record(name: str, solution: Solution, resource: str) -> Baseline:
    """What another strategy got out of the same limit. The solution must be graded."""
    assert solution.num_right is not None
    low, high = interval(solution.num_right, len(solution.answers))
    return Baseline(
        strategy=name,
        spent=solution.spent.get(resource) or 0.0,
        accuracy=solution.num_right / len(solution.answers),
        low=low,
        high=high,
    )


def solve_record(
    job: Job,
    strategy: str,
    questions: Sequence[Question],
    solution: Solution,
    spent: Spent,
    started: datetime,
    command: str,
) -> SolveRecord:
    """The record of one `bursar solve`."""
    resource, right = spent.resource, solution.num_right
    low, high = (None, None) if right is None else interval(right, len(questions))
    prices = [r.price for r in solution.rounds if r.bought and r.price is not None]
    guesses = [r.predicted for r in solution.rounds if r.bought]
    predicted = None if not guesses or None in guesses else sum(g or 0.0 for g in guesses)
    believed = [a.p_right for a in solution.answers]
    data = {
        "kind": "solve",
        "command": command,
        "version": __version__,
        "started": started.isoformat(timespec="seconds"),
        "seed": job.seed,
        "strategy": strategy,
        "model": ", ".join(job.models),
        "task": ", ".join(job.sources),
        "resource": resource,
        "limit": dict(spent.limits),
        "spent": {"tokens": spent.total.tokens, **spent.total.to_dict()},
        "predicted": {} if predicted is None else {resource: predicted},
        "price": {resource: prices[-1]} if prices else {},
        "answered": sum(a.text is not None for a in solution.answers),
        "correct": right,
        "accuracy": None if right is None else right / len(questions),
        "low": low,
        "high": high,
        "questions": _questions(questions, solution),
        "rounds": _rounds(solution, resource),
        "arms": _arms(solution.rounds),
        "receipt": _receipt(spent, job.models, predicted),
        "settings": {**job.settings(), "expected right": _expected(believed)},
    }
    record = parse_record(data)
    assert isinstance(record, SolveRecord)
    return record


def compare_record(
    jobs: Sequence[Job],
    table: Sequence[Row],
    places: Sequence[Standing],
    reference: str,
    resource: str,
    started: datetime,
    command: str,
) -> CompareRecord:
    """The record of one `bursar compare`."""
    return CompareRecord(
        kind="compare",
        command=command,
        version=__version__,
        started=started.isoformat(timespec="seconds"),
        resource=resource,
        rows=tuple(
            CompareRow(
                task=row.task,
                model=row.model,
                strategy=row.strategy,
                budget=row.budget,
                spent=row.spent,
                accuracy=row.accuracy,
                low=row.low,
                high=row.high,
                seeds=row.seeds,
                ahead=_number(-row.lead),
                ahead_low=_number(-row.lead_high),
                ahead_high=_number(-row.lead_low),
                front=row.front,
            )
            for row in table
        ),
        reference=reference,
        places=tuple(
            Place(
                task=place.task,
                model=place.model,
                strategy=place.strategy,
                area=place.area,
                low=place.low,
                high=place.high,
                first=place.first,
            )
            for place in places
        ),
        settings=jobs[0].settings(),
    )


def _number(value: float) -> float | None:
    """`value`; None where there was nothing to measure it from."""
    return None if math.isnan(value) else value


def summary(record: SolveRecord, out: Any) -> dict[str, Any]:
    """The JSON of `bursar solve`."""
    return {
        "questions": len(record.questions),
        "answered": record.answered,
        "correct": record.correct,
        "accuracy": record.accuracy,
        "low": record.low,
        "high": record.high,
        "limit": record.limit,
        "spent": record.spent,
        "predicted": record.predicted,
        "price": record.price,
        "run_dir": str(out),
        "strategy": record.strategy,
        "model": record.model,
        "arms": [line.model_dump() for line in record.arms],
        "baselines": [b.model_dump() for b in record.baselines],
        "receipt": [line.model_dump() for line in record.receipt.lines],
    }


def _questions(questions: Sequence[Question], solution: Solution) -> list[QuestionLine]:
    return [
        QuestionLine(
            id=q.id,
            task=q.task,
            level=q.level,
            answer=a.text,
            correct=right,
            p_right=a.p_right,
            tokens=a.usage.tokens,
            usd=a.usage.usd,
            samples=a.attempts,
            stopped=a.stopped,
            next=None if a.declined is None else NextLine(**asdict(a.declined)),
        )
        for q, a, right in zip(questions, solution.answers, solution.correct, strict=True)
    ]


def _rounds(solution: Solution, resource: str) -> list[RoundRecord]:
    return [
        RoundRecord(
            round=i,
            spent=r.spent.get(resource) or 0.0,
            price=r.price,
            expected_right=_expected([p.p_right for p in r.picks]),
            correct=right,
            answered=sum(p.answer is not None for p in r.picks),
        )
        for i, (r, right) in enumerate(
            zip(solution.rounds, solution.right_by_round, strict=True), start=1
        )
    ]


def _arms(rounds: Sequence[Round]) -> list[ArmLine]:
    """What was bought, by kind of question and arm, over all rounds."""
    bought: dict[tuple[str, str], list[tuple[Bought, float | None]]] = {}
    for now in rounds:
        for each in now.by_arm:
            bought.setdefault((each.kind, each.arm), []).append((each, now.price))
    lines = []
    for (kind, arm), parts in sorted(bought.items()):
        cost = sum(b.cost for b, _ in parts)
        paid = [b.cost * price for b, price in parts if price is not None]
        lines.append(
            ArmLine(
                kind=kind,
                arm=arm,
                attempts=sum(b.attempts for b, _ in parts),
                cost=cost,
                gain=sum(b.gain for b, _ in parts),
                asked=sum(paid) / cost if len(paid) == len(parts) and cost else None,
                chance=parts[-1][0].chance,
            )
        )
    return lines


def _receipt(spent: Spent, models: Sequence[str], predicted: float | None) -> ReceiptRecord:
    """One line per model, those that were never called too; it adds up to what was spent."""
    lines = [replace(x, path=spent.account, what=_what(x, models)[0]) for x in spent.lines]
    receipt = Receipt.from_lines(lines, spent.limits)
    made = receipt_record(receipt, spent.resource, depth=spent.account.count("/") + 1)
    known = {line.what: line for line in made.lines}
    idle = ReceiptLine(account=spent.account, calls=0, tokens_in=0, tokens_out=0, measured=0)
    told = [known.get(m) or idle.model_copy(update={"what": m}) for m in models]
    told += [line for line in made.lines if line.what not in models]
    if len(models) == 1 and predicted is not None:
        charged = "time" if spent.resource == "seconds" else models[0]  # as the purse books it
        told = [
            line.model_copy(update={"predicted": predicted}) if line.what == charged else line
            for line in told
        ]
    if any(spent.unsettled.known().values()):
        told.append(
            ReceiptLine(
                account=spent.account,
                what="not settled, at its upper bound",
                tokens_in=spent.unsettled.tokens_in,
                tokens_out=spent.unsettled.tokens_out,
                usd=spent.unsettled.usd,
                measured=spent.unsettled.get(spent.resource),
            )
        )
    return ReceiptRecord(
        limit=dict(spent.limits),
        spent={name: spent.total.get(name) for name in spent.limits},
        lines=tuple(told),
    )


def _what(line: Line, models: Sequence[str]) -> tuple[str, str]:
    """The model and the question that a call was booked for; either may have spaces in it."""
    fitting = [m for m in models if line.what.startswith(m + " ")]
    model = max(fitting, key=len, default=line.what)
    return model, line.what[len(model) + 1 :]


def _expected(believed: Sequence[float | None]) -> float | None:
    known = [p for p in believed if p is not None]
    return sum(known) if known else None
