"""Sampled solutions with a label for every step, for training and judging the verifier."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.training.model import TinyLlama
from bursar.training.sampling import sample
from bursar.workload.tasks import TASKS, Question
from bursar.workload.tasks.chain import Chain
from bursar.workload.tasks.sudoku4 import Sudoku4
from bursar.workload.tasks.verdicts import REVISE_MARKER, RIGHT


@dataclass(frozen=True, slots=True)
class Solution:
    """One sampled text: states (steps, width) and labels at each newline and the last token."""

    text: str
    right: bool
    hidden: Tensor
    labels: list[bool]
    logprob: float


def step_labels(question: Question, text: str) -> list[bool]:
    """A label for each newline of `text`, and one for its end when it does not end in a newline.

    chain and sudoku4: every step of this attempt so far is right. countdown: this attempt ends
    right. A verdict has the label of its attempt.
    """
    task = TASKS[question.task]
    attempts = text.split(REVISE_MARKER)
    labels: list[bool] = []
    for number, attempt in enumerate(attempts):
        body = attempt.removesuffix(RIGHT).removesuffix(REVISE_MARKER.strip())
        outcome = task.check(question, task.extract(question, body))
        lines = body.count("\n")
        if isinstance(task, Chain | Sudoku4):
            exact = task.steps(question, body)[:lines]
            exact += [False] * (lines - len(exact))
            labels += [all(exact[: i + 1]) for i in range(lines)]
        else:
            labels += [outcome] * lines
        last = number == len(attempts) - 1
        if not last or (attempt and not attempt.endswith("\n")):
            labels.append(outcome)
    return labels


def solve(
    model: TinyLlama,
    questions: list[Question],
    *,
    temperature: float,
    seed: int,
    max_tokens: int | None = None,
) -> list[Solution]:
    """One sampled solution per question; with `max_tokens` the model may revise up to there."""
    name = questions[0].task
    texts = sample(
        model,
        [q.prompt for q in questions],
        max_tokens=max_tokens or TASKS[name].max_tokens,
        temperature=temperature,
        seed=seed,
        revise=max_tokens is not None,
    )
    solutions: list[Solution] = []
    for start in range(0, len(texts), 64):
        part = slice(start, start + 64)
        solutions += _read(model, questions[part], texts[part])
    return solutions


@torch.inference_mode()
def _read(model: TinyLlama, questions: list[Question], texts: list[str]) -> list[Solution]:
    """Run the texts through the model again, for states and log-probabilities."""
    tokenizer = Tokenizer()
    rows = []
    for question, text in zip(questions, texts, strict=True):
        eos = [tokenizer.eos_id] if text.endswith(RIGHT) else []
        rows.append((tokenizer.encode(question.prompt), tokenizer.encode(text)[:440] + eos))
    width = max(len(p) + len(t) for p, t in rows)
    ids = torch.full((len(rows), width), tokenizer.pad_id)
    for row, (prompt, said) in enumerate(rows):
        ids[row, : len(prompt) + len(said)] = torch.tensor(prompt + said)
    hidden = model(ids)
    logprobs = model.logits(hidden).log_softmax(-1)
    picked = logprobs[:, :-1].gather(2, ids[:, 1:, None])[..., 0]
    solutions = []
    for at, (prompt, said) in enumerate(rows):
        first, end = len(prompt), len(prompt) + len(said)
        places = [first + i for i, t in enumerate(said) if t == tokenizer.newline_id]
        if not places or places[-1] != end - 1:
            places.append(end - 1)
        question, text = questions[at], texts[at]
        labels = step_labels(question, text)
        task = TASKS[question.task]
        count = min(len(places), len(labels))
        solutions.append(
            Solution(
                text,
                task.check(question, task.extract(question, text)),
                hidden[at, places[:count]].clone(),
                labels[:count],
                float(picked[at, first - 1 : end - 1].sum()),
            )
        )
    return solutions
