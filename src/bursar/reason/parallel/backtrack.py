"""Backtracking: go on from the lines that break no rule, undo more of them the longer it fails.

Paper: Tian Qin, David Alvarez-Melis, Samy Jelassi, Eran Malach, "To Backtrack or Not to Backtrack:
    When Sequential Search Limits Model Reasoning", 2025, arXiv:2504.07052; sequential search.
Symbols: depth-first search -> kept lines; backtracking -> undo.
Differs: the paper's model writes its search, wrong branches and all, into one text. Here it is
    asked line by line, and a line that breaks a rule of the task (`rules.RULES`, which know no
    answer) is undone, with the lines behind the one that it clashes with; after each failure that
    got no deeper, twice as many. What a backend holds is read once; elsewhere each line pays for
    all before it as input.
Checked: tests/papers/test_backtrack.py: at equal generated tokens it solves more of the harder
    Sudokus than parallel sampling, and somewhat fewer Countdowns. With input billed it wins Sudoku
    by more, and Countdown is even; where nothing is held it loses both.
Seed: 145
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bursar.answer import Answer
from bursar.backends.base import Kept, Request
from bursar.reason.base import Arm, OnRound, Pick, Round, Work, to_answer
from bursar.reason.parallel.rules import RULES, written_lines
from bursar.reason.self_consistency import vote
from bursar.reason.workbench import Workbench
from bursar.workload.tasks.base import Question

LINE_END = "\n"


@dataclass(slots=True)
class Search:
    """Where the search of one question stands: the lines it keeps, its failures since it last got
    deeper than before, and what the backend holds, by how many of these lines it has run."""

    kept: tuple[str, ...] = ()
    deepest: int = 0
    failures: int = 0
    held: dict[int, Kept] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The lines it keeps."""
        return "".join(line + LINE_END for line in self.kept)

    def ask(self, request: Request, *, keeps: bool) -> Request:
        """For the next line. A backend that `keeps` goes on from the text it holds; where it holds
        none yet, it is asked to run that text and say nothing."""
        request = replace(request, prefix=self.text, stop=(LINE_END,), keep=keeps)
        if not keeps:
            return request
        after = self.held.get(len(self.kept))
        return replace(request, after=after) if after else replace(request, max_tokens=0)

    def hold(self, text: str, state: Kept | None) -> None:
        """Hold the `state` of the `text` just said, if all of it is kept; let go of what is not."""
        if state and text == self.text:
            self.held[len(self.kept)] = state
        self.held = {n: held for n, held in self.held.items() if n <= len(self.kept)}

    def learn(self, question: Question, lines: Sequence[str], *, ended: bool) -> None:
        """Keep of `lines` what may stand. `ended`: the model said its last, and was not right."""
        legal, stands = RULES[question.task](question, lines)
        if legal == len(lines):
            if not ended:
                self.kept = tuple(lines)
                return
            stands = legal - 1  # all is legal and yet it is no solution: choose the last line anew
        if legal > self.deepest:
            self.deepest, self.failures = legal, 0
        else:
            self.failures += 1
        stands -= 2**self.failures - 1
        if stands <= 0:
            self.deepest = self.failures = 0
        self.kept = tuple(lines[: max(stands, 0)])


@dataclass(frozen=True, slots=True)
class Backtrack:
    """Sequential search on every question in turn, until solved or the purse is empty.

    Where a task has no rules for unfinished attempts, where no exact checker may be asked, or where
    the backend can't go on from a text, each attempt begins anew: parallel sampling.
    """

    name: str = "backtrack"

    async def solve(
        self, questions: Sequence[Question], bench: Workbench, on_round: OnRound | None = None
    ) -> list[Answer]:
        works = [Work(question) for question in questions]
        searches = {work.question.id: Search() for work in works if can_backtrack(work, bench)}
        await search(works, searches, bench, on_round)
        return [to_answer(work, pick(work)) for work in works]


def can_backtrack(work: Work, bench: Workbench) -> bool:
    """Whether a search of this question can know that it failed, and go on from what it kept."""
    checked = work.question.task in RULES and bench.checker_at_hand(work)
    return checked and bench.backends[0] in bench.revise


async def search(
    works: Sequence[Work],
    searches: dict[str, Search],
    bench: Workbench,
    on_round: OnRound | None = None,
    rounds: float = math.inf,
) -> None:
    """One more line of every open question in `searches`, one more whole attempt of the others,
    for so many `rounds`."""
    arm = Arm(bench.backends[0], bench.temperature)
    keeps = arm.backend in bench.keeps
    refused, done = 0, 0
    while not refused and done < rounds and (still := open_works(works, arm)):
        done += 1
        asked = []
        for work in still:
            request = bench.request(work, arm, len(work.attempts))
            if work.question.id in searches:
                request = searches[work.question.id].ask(request, keeps=keeps)
            asked.append((work, arm, request))
        refused = await bench.buy(asked)
        for work, _, request in asked:
            known = searches.get(work.question.id)
            if known and len(work.attempts) > request.sample:  # it was bought
                said = work.attempts[-1]
                lines = written_lines(said)
                if request.max_tokens:
                    ended = not said.text.endswith(LINE_END) or len(lines) == len(known.kept)
                    known.learn(work.question, lines, ended=ended)
                known.hold(said.text, work.kept)
        if on_round:
            picks = tuple(pick(work) for work in works)
            on_round(Round(bench.purse.spent, None, len(still) - refused, picks))


def open_works(works: Sequence[Work], arm: Arm) -> list[Work]:
    """Those still to be worked on; the others are told why they stopped."""
    for work in works:
        if not work.stopped and work.verified is not None:
            work.stopped = "verified"
        elif not work.stopped and arm in work.closed:
            work.stopped = "exhausted"
    return [work for work in works if not work.stopped]


def pick(work: Work) -> Pick:
    """The verified answer, else the one most attempts reached."""
    if work.verified is not None:
        return Pick(work.verified, 1.0)
    return vote(work.attempts, [1.0] * len(work.attempts))
