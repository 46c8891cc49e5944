"""APR, spawn and join: a parent spawns first steps as threads of their own, and joins what solves.

Paper: Jiayi Pan, Xiuyu Li, Long Lian, Charlie Snell, Yifei Zhou, Adam Yala, Trevor Darrell, Kurt
    Keutzer, Alane Suhr, "Learning Adaptive Parallel Reasoning with Language Models", 2025,
    arXiv:2504.15466; spawn() and join(), section 3.
Symbols: child threads -> width; context window -> thread_tokens.
Differs: the parent is a linear policy over the legal first operations of a Countdown, trained by
    policy gradient on whether children succeed (`training/train_spawn.py`); it writes no tokens.
    Children are the model as it is, with the rest of the problem as their prompt. One level deep.
    Questions that can't be split so (other tasks, three numbers) are sampled in as many threads.
Checked: tests/papers/test_spawn_join.py: with threads of equal length it solves more Countdowns of
    four numbers than serial search in one thread, and more than as many independent threads. Most
    of that is the spawning: branches drawn at random do nearly as well as the trained policy.
Seed: 85
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bursar.answer import Answer
from bursar.backends.base import Request
from bursar.errors import BadInput
from bursar.reason.base import Arm, OnRound, Round, Work, to_answer
from bursar.reason.parallel.backtrack import open_works, pick
from bursar.reason.parallel.rules import written_lines
from bursar.reason.workbench import Workbench
from bursar.workload.tasks.base import Question
from bursar.workload.tasks.countdown import Step, apply, parse_prompt

OPERATIONS = "+-*/"
LEAST_NUMBERS = 4
"""A child with fewer than three numbers is unlike anything that the built-in models have seen."""


def branches(question: Question) -> list[Step]:
    """The different first steps of a Countdown that leave something to do; none of other tasks."""
    if question.task != "countdown":
        return []
    numbers, _ = parse_prompt(question.prompt)
    if len(numbers) < LEAST_NUMBERS:
        return []
    found: dict[tuple[int, ...], Step] = {}
    for i, first in enumerate(numbers):
        for j, second in enumerate(numbers[:i]):
            large, small = max(first, second), min(first, second)
            rest = [n for k, n in enumerate(numbers) if k not in (i, j)]
            for sign in OPERATIONS:
                result = apply(large, sign, small)
                if result is not None:
                    left = (*rest, result)
                    key = tuple(sorted(left))  # the same child is spawned once
                    found.setdefault(key, Step(large, sign, small, result, left))
    return list(found.values())


def child_prompt(question: Question, step: Step) -> str:
    """The rest of the problem as a question of its own."""
    _, target = parse_prompt(question.prompt)
    return f"countdown {','.join(map(str, step.remaining))}={target}\n"


def step_features(question: Question, step: Step) -> tuple[float, ...]:
    """What the policy sees of a first step, (11,): the operation, its result, and how near the
    target lies to what is left, and to what one more step could make of it."""
    numbers, target = parse_prompt(question.prompt)
    result, left = step.result, step.remaining
    made = [
        value
        for i, first in enumerate(left)
        for second in left[:i]
        for sign in OPERATIONS
        if (value := apply(max(first, second), sign, min(first, second))) is not None
    ]
    return (
        *(float(step.op == sign) for sign in OPERATIONS),
        float(result == 0),
        float(result in numbers),
        float(result > 1 and target % result == 0),
        abs(result - target) / 99.0,
        float(result <= 20),
        min(abs(n - target) for n in left) / 99.0,
        min(abs(n - target) for n in made) / 99.0,
    )


@dataclass(frozen=True, slots=True)
class SpawnPolicy:
    """First steps are drawn one after the other, each with a chance that rises as exp(`weights` x
    features) among those left (Plackett-Luce); no weights, no preference."""

    weights: tuple[float, ...] = (0.0,) * 11

    def ranked(self, question: Question, rng: np.random.Generator) -> list[Step]:
        """All first steps in the order drawn."""
        steps = branches(question)
        if not steps:
            return []
        seen = np.array([step_features(question, step) for step in steps])
        scores = seen @ np.array(self.weights) + rng.gumbel(size=len(steps))
        return [steps[i] for i in np.argsort(-scores)]


TRAINED = SpawnPolicy(
    (0.786, 0.824, -0.797, -0.813, -0.238, 1.277, 0.289, -0.65, 0.516, -0.071, -0.848)
)
"""From `python -m bursar.training.train_spawn --questions 250`."""


@dataclass(frozen=True, slots=True)
class SpawnJoin:
    """Rounds of `width` threads a question. On a Countdown each has at most `thread_tokens` new
    tokens, in which the model may revise what it calls wrong. Stops at what the exact checker
    accepts, after `rounds` (None: when the purse is empty)."""

    width: int = 8
    thread_tokens: int = 48
    rounds: int | None = None
    policy: SpawnPolicy | None = TRAINED
    """None spawns nothing: all threads are samples of the whole question."""
    name: str = "spawn_join"

    def __post_init__(self) -> None:
        if self.width < 1 or self.thread_tokens < 1:
            raise BadInput(
                f"width {self.width} and thread_tokens {self.thread_tokens} must be 1 or more"
            )

    async def solve(
        self, questions: Sequence[Question], bench: Workbench, on_round: OnRound | None = None
    ) -> list[Answer]:
        rng = np.random.default_rng(bench.seed)
        works = [Work(question) for question in questions]
        ranked = {w.question.id: self.policy.ranked(w.question, rng) if self.policy else []
                  for w in works}  # fmt: skip
        arm, refused, played = Arm(bench.backends[0], bench.temperature), 0, 0
        while not refused and played != self.rounds and (still := open_works(works, arm)):
            threads = [
                self._thread(work, ranked[work.question.id], played * self.width + number, bench)
                for work in still
                for number in range(self.width)
            ]
            refused = await bench.buy([(t.child, arm, t.request) for t in threads])
            for thread in threads:
                thread.join(bench)
            played += 1
            if on_round:
                picks = tuple(pick(work) for work in works)
                on_round(Round(bench.purse.spent, None, len(threads) - refused, picks))
        return [to_answer(work, pick(work)) for work in works]

    def _thread(self, work: Work, steps: Sequence[Step], number: int, bench: Workbench) -> Thread:
        """The next branch in rank, from the first again when all have had their turn."""
        question = work.question
        request = bench.request(work, Arm(bench.backends[0], bench.temperature), number)
        if question.task == "countdown":
            request = replace(request, max_tokens=self.thread_tokens, stop=())
        if not steps:
            return Thread(work, Work(question), request, None)
        step = steps[number % len(steps)]
        child = replace(question, prompt=child_prompt(question, step))
        return Thread(work, Work(child), replace(request, prompt=child.prompt), step)


@dataclass(frozen=True, slots=True)
class Thread:
    """One child: its own problem and request, and the parent's `step` that leads there."""

    parent: Work
    child: Work
    request: Request
    step: Step | None

    def join(self, bench: Workbench) -> None:
        """Give the parent what the child found, behind the parent's own step."""
        self.parent.closed |= self.child.closed
        for said in self.child.attempts:
            if self.step is None:
                self.parent.attempts.append(said)
                continue
            lines = (self.step.choice + self.step.outcome.rstrip("\n"), *written_lines(said))
            text = "".join(line + "\n" for line in lines)
            answer = bench.tasks[self.parent.question.task].extract(self.parent.question, text)
            self.parent.attempts.append(replace(said, text=text, answer=answer))
