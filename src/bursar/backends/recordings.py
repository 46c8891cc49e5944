"""Readers of published recordings: samples to replay, their questions, and a task that grades them.

The files are not part of bursar; see docs of each reader for where they come from.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bursar.backends.replay import Recorded, ReplayBackend
from bursar.errors import BadInput
from bursar.workload.tasks.base import Question

CHARACTERS_PER_TOKEN = 3.0
"""For texts recorded without token counts: an estimate, low for English, near for mathematics."""

GSM8K_SYSTEMS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


class RecordedTask:
    """Grades recorded texts by what the recording says of them: a table, not a checker.

    A text that was not recorded (a cut one, say) states no answer.
    """

    def __init__(
        self,
        name: str,
        questions: Iterable[Question],
        samples: Iterable[Recorded],
        *,
        verifiable: bool,
    ) -> None:
        self.name, self.verifiable = name, verifiable
        self._questions = list(questions)
        self.levels = tuple(sorted({q.level for q in self._questions}))
        self._answers: dict[tuple[str, str], str | None] = {}
        self._right: set[tuple[str, str]] = set()
        longest = 1.0
        for sample in samples:
            self._answers[sample.question_id, sample.text] = sample.answer
            if sample.right and sample.answer is not None:
                self._right.add((sample.question_id, sample.answer))
            longest = max(longest, sample.tokens_out or 0.0)
        self.max_tokens = math.ceil(longest)

    def generate(
        self, count: int, *, seed: int, split: str = "test", levels: Sequence[str] | None = None
    ) -> list[Question]:
        """`count` recorded questions in an order fixed by `seed`; all splits are the same one."""
        pool = [q for q in self._questions if levels is None or q.level in levels]
        if count > len(pool):
            raise BadInput(f"{self.name}: {count} questions asked, {len(pool)} were recorded")
        order = np.random.default_rng(seed).permutation(len(pool))
        return [pool[i] for i in order[:count]]

    def extract(self, question: Question, text: str) -> str | None:
        """The answer that the recording notes for `text`."""
        return self._answers.get((question.id, text))

    def check(self, question: Question, answer: str | None) -> bool:
        """Whether the recording calls `answer` right."""
        return answer is not None and (question.id, answer) in self._right


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording ready to replay: one backend per arm, the questions, and their task."""

    task: RecordedTask
    questions: list[Question]
    backends: dict[str, ReplayBackend]


def read_game24(path: str | Path, arms: Sequence[str] = ("cot100", "io100")) -> Recording:
    """GPT-4 on Game of 24: 100 problems x 100 samples for each of two prompts.

    From the repository of "Tree of Thoughts" (princeton-nlp/tree-of-thought-llm, MIT): rows
    {strategy, idx, r: [0 | 1 per sample], prompt_tokens, completion_tokens, cost} where tokens and
    dollars are those of all samples of the row. The texts are not recorded, so a sample says
    "right" or "wrong". A sample costs its share of the row in dollars; whole tokens, which add up
    to the row's. Problem 932 of `cot100` has negative counts: it gets the mean of the others.
    """
    rows = [row for row in _rows(path) if row.get("strategy") in arms]
    samples = [s for arm in arms for s in _game24_arm([r for r in rows if r["strategy"] == arm])]
    ids = list(dict.fromkeys(s.question_id for s in samples))
    questions = [Question(id=i, task="game24", prompt=f"Game of 24, problem {i}") for i in ids]
    return _recording("game24", questions, samples, arms, verifiable=True)


def _game24_arm(rows: list[dict[str, Any]]) -> list[Recorded]:
    sound = [r for r in rows if min(r["prompt_tokens"], r["completion_tokens"], r["cost"]) >= 0]
    keys = ("prompt_tokens", "completion_tokens", "cost")
    mean = {k: math.fsum(r[k] for r in sound) / len(sound) for k in keys}
    samples = []
    for row in rows:
        amounts = row if row in sound else mean
        count = len(row["r"])
        tokens_in = _shares(round(amounts["prompt_tokens"]), count)
        tokens_out = _shares(round(amounts["completion_tokens"]), count)
        for right, came_in, went_out in zip(row["r"], tokens_in, tokens_out, strict=True):
            text = "right" if right else "wrong"
            samples.append(
                Recorded(
                    question_id=str(row["idx"]),
                    text=text,
                    answer=text,
                    right=bool(right),
                    arm=row["strategy"],
                    tokens_in=came_in,
                    tokens_out=went_out,
                    usd=amounts["cost"] / count,
                    estimated=amounts is mean,
                )
            )
    return samples


def _shares(total: int, count: int) -> list[int]:
    """`total` in `count` whole parts as equal as can be."""
    return [(i + 1) * total // count - i * total // count for i in range(count)]


def read_qwen25_math(path: str | Path) -> Recording:
    """Qwen2.5 on 100 MATH problems x 8 samples, with text and reward-model scores (Apache-2.0).

    Rows {idx, question, answer, level, system, code: [text], pred: [answer], score: [right],
    pred_score: [[reward]]}. Token counts are not recorded: estimated at
    `CHARACTERS_PER_TOKEN`, and marked so. The reward is in `Completion.meta["reward"]`.
    """
    questions, samples = [], []
    for row in _rows(path):
        key = str(row["idx"])
        questions.append(
            Question(id=key, task="math", prompt=row["question"], answer=row["answer"],
                     level=row["level"])
        )  # fmt: skip
        tokens_in = math.ceil(len(row["system"] + row["question"]) / CHARACTERS_PER_TOKEN)
        columns = (row["code"], row["pred"], row["score"], row["pred_score"])
        for text, answer, right, (reward,) in zip(*columns, strict=True):
            samples.append(
                Recorded(
                    question_id=key,
                    text=text,
                    answer=answer,
                    right=right,
                    prompt=row["question"],
                    reward=reward,
                    tokens_in=tokens_in,
                    tokens_out=math.ceil(len(text) / CHARACTERS_PER_TOKEN),
                    estimated=True,
                )
            )
    return _recording("math", questions, samples, ("qwen25",), verifiable=False)


def read_gsm8k_solutions(path: str | Path, systems: Sequence[str] = GSM8K_SYSTEMS) -> Recording:
    """GSM8K's test set, one solution by each of four systems (openai/grade-school-math, MIT).

    Rows {question, ground_truth, <system>: {is_correct, solution}}; a solution ends in
    "A: <answer>". The `systems` become samples of one arm, `panel`, in an order drawn by the
    request's seed. Tokens are not recorded: estimated at `CHARACTERS_PER_TOKEN`, marked so.
    """
    questions, samples = [], []
    for number, row in enumerate(_rows(path)):
        key, prompt = str(number), row["question"]
        truth = gsm8k_answer(row["ground_truth"])
        questions.append(Question(id=key, task="gsm8k", prompt=prompt, answer=truth))
        for system in systems:
            text = row[system]["solution"]
            samples.append(
                Recorded(
                    question_id=key,
                    text=text,
                    answer=gsm8k_answer(text),
                    right=row[system]["is_correct"],
                    prompt=prompt,
                    tokens_in=math.ceil(len(prompt) / CHARACTERS_PER_TOKEN),
                    tokens_out=math.ceil(len(text) / CHARACTERS_PER_TOKEN),
                    estimated=True,
                )
            )
    return _recording("gsm8k", questions, samples, ("panel",), verifiable=False)


def gsm8k_answer(solution: str) -> str | None:
    """The answer that a GSM8K solution ends in; None where it states none."""
    _, mark, answer = solution.rpartition("A:")
    return answer.replace(",", "").strip() or None if mark else None


def _recording(
    name: str,
    questions: list[Question],
    samples: list[Recorded],
    arms: Sequence[str],
    *,
    verifiable: bool,
) -> Recording:
    samples = [s if s.arm else replace(s, arm=arms[0]) for s in samples]
    backends = {a: ReplayBackend([s for s in samples if s.arm == a], name=a) for a in arms}
    task = RecordedTask(name, questions, samples, verifiable=verifiable)
    return Recording(task=task, questions=questions, backends=backends)


def _rows(path: str | Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise BadInput(f"recording {path}: can't be read ({error}); name a JSONL file") from None
