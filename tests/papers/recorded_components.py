"""What the components said of each question once, from a file, behind the backend protocol.

The file holds, per question: one greedy solution of tiny-0.3m and eight at each temperature, read
without their closing verdict, with the log-probability of the text, the process-reward head's score
and the model's own verdict on each. `python tests/papers/recorded_components.py` records it anew.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bursar.backends.base import Completion, Request
from bursar.backends.draws import uniforms
from bursar.budget import Budget
from bursar.reason.counted import Counted
from bursar.reason.purse import Purse
from bursar.reason.workbench import Workbench
from bursar.usage import Usage
from bursar.workload.tasks.base import Question

FILE = Path(__file__).with_name("recorded_components.npz")
MODEL = "tiny-0.3m"
TEMPERATURES = (0.0, 0.4, 0.7, 1.0)
SAMPLES = 8
MIX = (("chain", ("6", "7")), ("countdown", ("3", "4")), ("sudoku4", ("6", "8")))
PER_TASK = 160
CALL = Usage.from_dict({"tokens_in": 1, "tokens_out": 1, "tool_calls": 1})


@dataclass(frozen=True)
class RecordedTask:
    """Solutions are `number of the answer|temperature|sample`, and answer 0 is right."""

    name: str = "recorded"
    verifiable: bool = False
    levels: tuple[str, ...] = ("",)
    max_tokens: int = 1

    def generate(
        self, count: int, *, seed: int, split: str = "test", levels: Sequence[str] | None = None
    ) -> list[Question]:
        return [Question(str(i), self.name, str(i), "0") for i in range(count)]

    def extract(self, question: Question, text: str) -> str | None:
        answer = text.split("|")[0]
        return None if answer == "-1" else answer

    def check(self, question: Question, answer: str | None) -> bool:
        return answer == "0"


Tables = Mapping[str, NDArray[np.float32]]
"""answers, logprobs, scores, verdicts: (questions, temperatures, samples)."""


class RecordedComponents:
    """A call, whatever it is for, counts as one."""

    name = MODEL

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    def upper_bound(self, request: Request) -> Usage:
        return CALL

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        return [self._verdict(r) if r.prefix else self._solution(r) for r in requests]

    async def aclose(self) -> None:
        """Nothing is open."""

    def _solution(self, request: Request) -> Completion:
        cell = TEMPERATURES.index(request.temperature), request.sample % SAMPLES
        at = (int(request.question_id), *cell)
        return Completion(
            text=f"{int(self.tables['answers'][at])}|{cell[0]}|{cell[1]}",
            usage=CALL,
            stop_reason="stop",
            logprobs=np.array([self.tables["logprobs"][at]], np.float32),
            hidden=np.array([[self.tables["scores"][at]]], np.float32),
        )

    def _verdict(self, request: Request) -> Completion:
        _, row, sample = request.prefix.split("|")
        p = float(self.tables["verdicts"][int(request.question_id), int(row), int(sample)])
        u = uniforms(request.seed, request.question_id, request.sample)[0]
        right = p >= 0.5 if request.temperature == 0 else u < p
        sure = np.log([max(1e-6, p if right else 1 - p)]).astype(np.float32)
        return Completion("right" if right else "wrong", CALL, "stop", logprobs=sure)


class RecordedHead:
    """The recorded score of the process-reward head, on every task, trusted or not."""

    def score(self, task: str, completion: Completion) -> float | None:
        assert completion.hidden is not None
        return float(completion.hidden[0, 0])


@cache
def recorded() -> Tables:
    """What tiny-0.3m said."""
    with np.load(FILE) as file:
        return {name: file[name] for name in file.files}


def bench(tables: Tables, calls: float | None = None, temperature: float = 0.7) -> Workbench:
    """A workbench on recorded outputs, with a limit in calls."""
    limits = None if calls is None else {"tool_calls": calls}
    return Workbench(
        Purse(Budget(limits), {MODEL: Counted(RecordedComponents(tables))}),
        {"recorded": RecordedTask()},
        scorers={MODEL: RecordedHead()},
        temperature=temperature,
        greedy=frozenset({MODEL}),
        judge={MODEL: str},
    )


def halves(tables: Tables) -> tuple[list[Question], list[Question]]:
    """Questions to search with, and to judge what was found; levels alternate in both."""
    asked = RecordedTask().generate(len(tables["answers"]), seed=0)
    return [q for i, q in enumerate(asked) if i % 4 < 2], [
        q for i, q in enumerate(asked) if i % 4 >= 2
    ]


def record() -> None:
    """Ask the built-in model everything, and write the file."""
    from silent import Silent
    from tiny_arena import bench as tiny_bench
    from tiny_arena import questions

    from bursar.reason.base import Arm, Work
    from bursar.reason.verifiers import StepScorer
    from bursar.reason.verify import SelfEvaluation, judge, mean_scores
    from bursar.workload.tasks import TASKS

    tasks = {name: Silent(TASKS[name]) for name, _ in MIX}
    at_hand = tiny_bench(MODEL, check=False, tasks=tasks)
    head = StepScorer.load(MODEL)
    assert head is not None
    at_hand.scorers = {MODEL: StepScorer(head.head, trusted=frozenset(tasks))}
    works = [Work(q) for task, levels in MIX for q in questions(task, levels, PER_TASK, 300)]
    arms = [Arm(MODEL, t) for t in TEMPERATURES for _ in range(SAMPLES)]

    async def ask() -> None:
        await at_hand.attempt([(w, arm) for w in works for arm in arms])
        await judge(SelfEvaluation(), [(w, i) for w in works for i in range(len(arms))], at_hand)

    asyncio.run(ask())
    shape = len(works), len(TEMPERATURES), SAMPLES
    codes = []
    for w in works:
        task = tasks[w.question.task]
        wrong = {a.answer for a in w.attempts} - {None}
        names = {a: i for i, a in enumerate(sorted(x for x in wrong if x is not None), 1)}
        codes.append([
            0 if task.check(w.question, a.answer) else -1 if a.answer is None else names[a.answer]
            for a in w.attempts
        ])  # fmt: skip
    scores = [[a.score for a in w.attempts] for w in works]
    likely = [[a.logprob for a in w.attempts] for w in works]
    verdicts = [[0.0 if s is None else s for s in mean_scores(w)] for w in works]
    np.savez_compressed(
        FILE,
        answers=np.array(codes, np.int8).reshape(shape),
        logprobs=np.array(likely, np.float16).reshape(shape),
        scores=np.round(np.array(scores, np.float16), 2).reshape(shape),
        verdicts=np.round(np.array(verdicts, np.float16), 2).reshape(shape),
    )


if __name__ == "__main__":
    record()
