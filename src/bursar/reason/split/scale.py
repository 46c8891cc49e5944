"""SCALE: sub-problems rated easy are solved once, those rated hard get many attempts and a vote.

Paper: Yang Xiao, Chunpu Xu, Ruifeng Yuan, Jiashuo Wang, Wenjie Li, Pengfei Liu, "SCALE: Selective
    Resource Allocation for Overcoming Performance Bottlenecks in Mathematical Test-time Scaling",
    2025, arXiv:2512.00466; its four stages: decompose, assess difficulty, choose the mode, execute
    in order with context.
Symbols: System 1 -> easy; System 2 -> hard; difficulty threshold -> threshold.
Differs: System 2 is a vote over several attempts, here a model that thinks longer; an attempt says
    the sub-problem otherwise where the splitter knows how, else it is a fresh sample.
Checked: tests/papers/test_scale.py: on chains of 16 operations within a point of all-hard accuracy
    with at most 67 % of its tokens; beats equal attempts everywhere at no fewer tokens; with
    ratings dealt out anew the gain is gone.
Seed: 4
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from bursar.answer import Answer
from bursar.reason.base import Arm, Attempt, OnRound, Pick, Round, Work
from bursar.reason.self_consistency import vote
from bursar.reason.split.base import Division, Part, Splitter
from bursar.reason.split.chains import ChainSplitter
from bursar.reason.workbench import Workbench
from bursar.usage import Usage
from bursar.workload.tasks.base import Question

Rater = Callable[[Part, str], float]
"""(part, the name of its place in the run) -> difficulty in [0, 1]."""


def _by_chance(part: Part, place: str) -> float:
    digest = hashlib.blake2b(place.encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


RATERS: dict[str, Rater] = {
    "stated": lambda part, place: part.difficulty,
    "all_easy": lambda part, place: 0.0,
    "all_hard": lambda part, place: 1.0,
    "by_chance": _by_chance,
}
"""Who rates difficulty: the splitter, or one of the controls. ``all_hard`` spends uniformly."""


@dataclass(slots=True)
class Progress:
    """A question on its way: the picks of the parts solved so far, and every attempt bought."""

    question: Question
    division: Division = field(default_factory=lambda: Division(()))
    picks: dict[int, Pick] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    stuck: bool = False

    @property
    def parts(self) -> tuple[Part, ...]:
        return self.division.parts

    def ready(self) -> list[int]:
        """Parts not solved yet whose needs are."""
        if self.stuck:
            return []
        return [
            i
            for i, part in enumerate(self.parts)
            if i not in self.picks and all(need in self.picks for need in part.needs)
        ]

    def prompt(self, index: int) -> str:
        """The prompt of a ready part."""
        found = [self.picks[i].answer if i in self.picks else None for i in range(index)]
        return self.parts[index].prompt(found)

    def pick(self) -> Pick:
        """The last part's answer, believed as far as every part is; None while it is missing."""
        last = self.picks.get(len(self.parts) - 1)
        if last is None:
            return Pick(None, None)
        beliefs = [pick.p_right for pick in self.picks.values() if pick.p_right is not None]
        return Pick(last.answer, math.prod(beliefs))

    def answer(self) -> Answer:
        """What is known when spending has ended."""
        pick = self.pick()
        return Answer(
            question_id=self.question.id,
            text=pick.answer,
            p_right=pick.p_right,
            attempts=len(self.attempts),
            usage=Usage.total([self.division.usage, *(a.usage for a in self.attempts)]),
            verified=len(self.parts) == 1 and any(a.verified for a in self.attempts),
            stopped="budget" if pick.answer is None else "enough",
        )


@dataclass(frozen=True, slots=True)
class Scale:
    """`easy` attempts on a part rated up to `threshold`, `hard` ones above it, and a vote.

    Questions are taken `together` at a time, so that a budget that ends early leaves whole answers.
    """

    splitter: Splitter = field(default_factory=ChainSplitter)
    rater: str = "stated"
    threshold: float = 0.03
    easy: int = 1
    hard: int = 5
    together: int = 32
    name: str = "scale"

    async def solve(
        self, questions: Sequence[Question], bench: Workbench, on_round: OnRound | None = None
    ) -> list[Answer]:
        """See `Strategy.solve`."""
        everything = [Progress(question) for question in questions]
        for start in range(0, len(everything), self.together):
            group = everything[start : start + self.together]
            split = await self.splitter.split([p.question for p in group], bench)
            for progress, division in zip(group, split, strict=True):
                progress.division = division
            while wave := [(p, i) for p in group for i in p.ready()]:
                bought = await self._solve_parts(wave, bench)
                if on_round:
                    picks = tuple(p.pick() for p in everything)
                    on_round(Round(bench.purse.spent, None, bought, picks))
        return [progress.answer() for progress in everything]

    def attempts_for(self, progress: Progress, index: int) -> int:
        """How many attempts the rating of this part buys."""
        place = f"{progress.question.id}/{index}"
        rated = RATERS[self.rater](progress.parts[index], place)
        return self.hard if rated > self.threshold else self.easy

    async def _solve_parts(self, wave: Sequence[tuple[Progress, int]], bench: Workbench) -> int:
        """Buys every part's attempts in one go and votes; returns how many were bought."""
        moves = [self._moves(p, i, bench) for p, i in wave]
        await bench.attempt([move for part in moves for move in part])
        bought = 0
        for (progress, index), part in zip(wave, moves, strict=True):
            works = {id(work): work for work, _ in part}.values()
            attempts = [attempt for work in works for attempt in work.attempts]
            bought += len(attempts)
            progress.attempts += attempts
            pick = _elect(attempts)
            progress.stuck = pick.answer is None
            if not progress.stuck:
                progress.picks[index] = pick
        return bought

    def _moves(self, progress: Progress, index: int, bench: Workbench) -> list[tuple[Work, Arm]]:
        """One attempt per phrasing, greedy where the phrasing is new, else a fresh sample."""
        backend, question = bench.backends[0], progress.question
        prompt = progress.prompt(index)
        works: dict[str, Work] = {}
        moves = []
        for number in range(self.attempts_for(progress, index)):
            said = self.splitter.phrasing(prompt, number)
            fresh = backend in bench.greedy and said not in works
            if said not in works:
                name = question.id if said == question.prompt else f"{question.id}/{index}.{number}"
                works[said] = Work(replace(question, id=name, prompt=said, answer=None))
            moves.append((works[said], Arm(backend, 0.0 if fresh else bench.temperature)))
        return moves


def _elect(attempts: Sequence[Attempt]) -> Pick:
    """What the exact checker accepted, else the plurality."""
    accepted = [a for a in attempts if a.verified]
    return vote(accepted or attempts, [1.0] * len(accepted or attempts))
