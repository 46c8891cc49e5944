"""Solve or verify: votes or verifies, and how often, as a law says that was fitted to a pilot.

The law (`value.solve_or_verify`) predicts, before anything is spent, which split of the budget into
solutions and verdicts is the most accurate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bursar.answer import Answer
from bursar.errors import BadInput
from bursar.reason.base import Arm, OnRound, Work
from bursar.reason.solve import grade
from bursar.reason.verify.base import Verifier, judge
from bursar.reason.verify.genrm import GenRM
from bursar.reason.workbench import Workbench
from bursar.usage import Usage
from bursar.value.solve_or_verify import SolveOrVerify, Split
from bursar.workload.tasks.base import Question


@dataclass(frozen=True, slots=True)
class SolveOrVerifyStrategy:
    """Follows `law`; `solution` is what one solution used in the pilot, on average."""

    law: SolveOrVerify
    solution: Usage
    verifier: Verifier
    name: str = "solve_or_verify"

    def plan(self, questions: int, bench: Workbench) -> Split:
        """The split that what is left of the first limited resource is best spent on."""
        resource = next(iter(bench.purse.limited), None)
        if resource is None:
            raise BadInput('without a limit there is nothing to split; give one, as "12k tokens"')
        cost = self.solution.get(resource)
        if not cost:
            raise BadInput(
                f"the pilot did not measure {resource}, which is limited; limit what it measured: "
                + ", ".join(k for k, v in self.solution.known().items() if v)
            )
        # under one solution a question some get none, and the others no verdict
        return self.law.best(max(1.0, bench.purse.left(resource) / (questions * cost)))

    async def solve(
        self, questions: Sequence[Question], bench: Workbench, on_round: OnRound | None = None
    ) -> list[Answer]:
        split = self.plan(len(questions), bench)
        how = GenRM(split.verifications, verifier=self.verifier)  # solutions until the budget ends
        return await how.solve(questions, bench, on_round)


async def pilot(
    questions: Sequence[Question],
    bench: Workbench,
    verifier: Verifier,
    *,
    solutions: int = 8,
    verifications: int = 4,
    resource: str = "tokens",
) -> SolveOrVerifyStrategy:
    """The strategy with a law fitted to labelled `questions`, all bought through the purse.

    A verdict's price in solutions is measured in `resource`. Raises `BadInput` on questions without
    a known answer, and when the budget ends before the pilot does.
    """
    unknown = [q.id for q in questions if grade(q, None, bench.tasks) is None]
    if unknown:
        raise BadInput(f"question {unknown[0]!r} has no known answer; pilot on labelled ones")
    works = [Work(q) for q in questions]
    arm = Arm(bench.backends[0], bench.temperature)
    refused = await bench.attempt([(w, arm) for w in works for _ in range(solutions)])
    every = [(w, i) for w in works for i in range(len(w.attempts))]
    refused += await judge(verifier, every * verifications, bench)
    if refused or any(len(w.attempts) < solutions for w in works):
        raise BadInput(
            f"the pilot of {len(works)} questions with {solutions} solutions and {verifications} "
            "verdicts each was not finished; raise its budget, or ask for less"
        )
    spent = Usage.total(a.usage for w in works for a in w.attempts)
    judged = Usage.total(v.usage for w in works for v in w.verdicts)
    cost, cost_judged = spent.get(resource), judged.get(resource)
    if not cost or cost_judged is None:
        raise BadInput(f"{bench.backends[0]} does not measure {resource}; name another resource")
    law = SolveOrVerify.fit(
        [_codes(w) for w in works],
        [[bool(grade(w.question, a.answer, bench.tasks)) for a in w.attempts] for w in works],
        [_scores(w) for w in works],
        cost_judged / verifications / cost,
    )
    return SolveOrVerifyStrategy(law, spent * (1 / (len(works) * solutions)), verifier)


def _codes(work: Work) -> list[int]:
    """A number per distinct answer, -1 for none."""
    names = list(dict.fromkeys(a.answer for a in work.attempts if a.answer is not None))
    return [-1 if a.answer is None else names.index(a.answer) for a in work.attempts]


def _scores(work: Work) -> list[list[float]]:
    """(solutions, verifications), NaN where a verdict has no score."""
    rows: list[list[float]] = [[] for _ in work.attempts]
    for verdict in work.verdicts:
        rows[verdict.attempt].append(math.nan if verdict.score is None else verdict.score)
    return rows
