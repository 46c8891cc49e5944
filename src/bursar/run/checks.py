"""What is checked of a run before its folder is made and before anything is spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bursar.budget import Budget
from bursar.errors import BadInput, Infeasible, Unbounded
from bursar.reason.base import Arm, Picky, Strategy, Work
from bursar.reason.solve import grade
from bursar.reason.workbench import Workbench
from bursar.units import RESOURCES, format_amount
from bursar.usage import Usage
from bursar.workload.tasks.base import Question, Task


def check_limits(
    questions: Sequence[Question], bench: Workbench, limits: Mapping[str, float]
) -> None:
    """Whether `limits` bound every call, and pay for one.

    Raises `Unbounded` where a model can't say beforehand what it will use of a limited resource,
    `Infeasible` where not even one attempt at one question fits.
    """
    # Time is what the purse's clock says, so that it bounds every call by itself.
    amounts = {r: amount for r, amount in limits.items() if r != "seconds"}
    if limits.get("seconds") == 0:
        raise Infeasible("the limit pays for no attempt at all: 0 s to spend; raise it")
    calls = [
        (name, bench.upper_bound(Work(question), Arm(name, bench.temperature)))
        for name in bench.backends
        for question in questions
    ]
    for name, upper in calls:
        for resource in amounts:
            if upper.get(resource) is None:
                raise Unbounded(name, resource, _instead(name, resource, upper))
    purse = Budget(amounts)
    if not any(purse.fits(upper, 1) for _, upper in calls):
        least = {r: min(upper.get(r) or 0.0 for _, upper in calls) for r in amounts}
        short = [r for r in amounts if least[r] > amounts[r]] or list(amounts)
        said = ", ".join(
            f"an attempt may take {format_amount(r, least[r])} of {format_amount(r, amounts[r])}"
            for r in short
        )
        raise Infeasible(f"the limit pays for no attempt at all: {said}; raise it to at least that")


def check_strategy(strategy: Strategy, questions: Sequence[Question], bench: Workbench) -> None:
    """Raises `BadInput` where a strategy needs what these questions or models do not offer."""
    if isinstance(strategy, Picky):
        strategy.check(questions, bench)


def check_gradable(questions: Sequence[Question], tasks: Mapping[str, Task], why: str) -> None:
    """Raises `BadInput` for a question of which nobody can say whether an answer is right."""
    for question in questions:
        if grade(question, None, tasks) is None:
            raise BadInput(
                f"question {question.id!r} has no known answer and {why} needs one for every "
                "question; add `answer` to its line"
            )


def _instead(name: str, resource: str, upper: Usage) -> str:
    known = [r for r in RESOURCES if upper.get(r) is not None]
    if upper.tokens is not None:
        known = ["tokens", *known]
    priced = resource == "usd" and name.startswith("openai:")
    give = "give its price with --usd-per-mtok IN,OUT, or " if priced else ""
    return f"{give}limit {' or '.join(known)} instead" if known else "choose another model"
