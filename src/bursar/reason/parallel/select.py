"""Search selection: sequential or parallel for each task, by what a few first attempts show of it.

Paper: Tian Qin, David Alvarez-Melis, Samy Jelassi, Eran Malach, "To Backtrack or Not to Backtrack:
    When Sequential Search Limits Model Reasoning", 2025, arXiv:2504.07052; section 6, which tasks
    suit which search.
Symbols: sub-optimal branches seen before the end -> caught.
Differs: the paper gives reasons and no rule; here a logistic model of them is fitted on which
    search won, over tasks, levels, models, budgets and ways to pay (`benchmarks/backtrack.py`).
Checked: tests/papers/test_backtrack.py: picks the winner of at least 4 of 5 held-out cells.
Seed: 145
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bursar.answer import Answer
from bursar.reason.base import OnRound, Work, to_answer
from bursar.reason.parallel.backtrack import Search, can_backtrack, pick, search
from bursar.reason.parallel.rules import RULES, written_lines
from bursar.reason.workbench import Workbench
from bursar.workload.tasks.base import Question

MOST = 64.0
"""Descents that are as good as any number."""


@dataclass(frozen=True, slots=True)
class Features:
    """What attempts show of a task.

    `caught`: share of the failed ones that break a rule before their last line; `descents`: how
    many times the budget of a question pays for all lines one by one, their text read once where
    the backend holds it, else at every line; `attempts`: how many times it pays for them at once.
    """

    caught: float
    descents: float
    attempts: float

    @classmethod
    def of(cls, works: Sequence[Work], bench: Workbench, budget: float) -> Features:
        """From the first attempts of `works`, one task's; `budget` is for one question, in the
        resource that the purse limits first (infinite: none)."""
        tried = [(work, work.attempts[0], written_lines(work.attempts[0])) for work in works]
        failed = [(w, lines) for w, said, lines in tried if not said.verified]
        legal = [(RULES[w.question.task](w.question, lines)[0], len(lines)) for w, lines in failed]
        early = sum(fine < said - 1 for fine, said in legal)
        depth = float(np.mean([max(1, len(lines)) for *_, lines in tried]))
        out = float(np.mean([said.usage.tokens_out or 0.0 for _, said, _ in tried]))
        read = float(np.mean([said.usage.tokens_in or 0.0 for _, said, _ in tried]))
        if bench.purse.limited[:1] == ("tokens_out",):
            once, descent, attempt = 0.0, out, out
        elif bench.backends[0] in bench.keeps:
            once, descent, attempt = read, out, read + out
        else:
            once, descent, attempt = 0.0, depth * (read + out / 2) + out, read + out
        return cls(
            caught=(early + 0.5) / (len(failed) + 1),
            descents=min(max(1.0, budget - once) / descent, MOST),
            attempts=min(max(1.0, budget) / attempt, MOST),
        )

    @property
    def row(self) -> tuple[float, ...]:
        """As columns of the fit; the first stands for the constant."""
        few = min(0.0, float(np.log(self.descents / 1.5)))
        return 1.0, self.caught, few, float(np.log(self.attempts / self.descents))


@dataclass(frozen=True, slots=True)
class SelectSearch:
    """Up to `probes` attempts of each task, then the search that is likelier to win there.

    `weights`: of `Features.row`, for the log odds that sequential search wins.
    """

    weights: tuple[float, ...] = (-0.444, 2.444, 4.128, -4.022)
    probes: int = 12
    name: str = "select_search"

    def sequential(self, features: Features) -> bool:
        """Whether sequential search is likelier to win."""
        return float(np.dot(self.weights, features.row)) > 0

    async def solve(
        self, questions: Sequence[Question], bench: Workbench, on_round: OnRound | None = None
    ) -> list[Answer]:
        works = [Work(question) for question in questions]
        able: dict[str, list[Work]] = {}
        for work in works:
            if can_backtrack(work, bench):
                able.setdefault(work.question.task, []).append(work)
        probes = [work for task in able.values() for work in task[: self.probes]]
        await search(probes, {}, bench, rounds=1)
        searches: dict[str, Search] = {}
        for task in able.values():
            seen = [work for work in task[: self.probes] if work.attempts]
            if seen and self.sequential(Features.of(seen, bench, self._budget(works, bench))):
                searches |= {work.question.id: Search() for work in task}
        for work in probes:
            known = searches.get(work.question.id)
            if known and work.attempts:
                known.learn(work.question, written_lines(work.attempts[0]), ended=True)
        await search(works, searches, bench, on_round)
        return [to_answer(work, pick(work)) for work in works]

    def _budget(self, works: Sequence[Work], bench: Workbench) -> float:
        limited = bench.purse.limited
        return bench.purse.left(limited[0]) / len(works) if limited else float("inf")
