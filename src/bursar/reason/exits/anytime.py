"""Anytime: whenever a text is cut it gives the best answer that it has so far.

Paper: Qi et al., "Optimizing Anytime Reasoning via Budget Relative Policy Optimization", 2025,
  arXiv:2505.13438; the summary at a cut and the anytime objective, section 2 (not its training).
Symbols: b -> tokens; summary policy -> `ForcedAnswer` and `best_so_far`; P_s -> uniform.
Differs: nothing is trained; the summary is the answer that the attempts so far agree on, each
  counted by its probability, or, before there is one, what the model says when it is made to
  answer. Its tokens are part of the budget.
Checked: tests/papers/test_anytime.py: more area under the curve of accuracy by tokens than reading
  the cut text as it stands, its first or its last answer; not with shuffled probabilities. Made to
  answer before its first attempt has ended the model is hardly ever right (1 %).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bursar.backends.base import Completion
from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.errors import BadInput
from bursar.workload.tasks.base import Question, Task
from bursar.workload.tasks.verdicts import REVISE_MARKER

_TOKENIZER = Tokenizer()


def best_so_far(task: Task, question: Question, done: Completion) -> str | None:
    """The answer with the largest sum of its attempts' probabilities; None before the first."""
    tally: dict[str, float] = {}
    for answer, likelihood in stated(task, question, done):
        tally[answer] = tally.get(answer, 0.0) + math.exp(likelihood)
    return max(tally, key=tally.__getitem__) if tally else None


def stated(task: Task, question: Question, done: Completion) -> list[tuple[str, float]]:
    """(answer, log-probability) of each attempt in a built-in model's text that states one."""
    said: Sequence[float] = [] if done.logprobs is None else done.logprobs.tolist()
    found, start = [], 0
    for attempt in done.text.split(REVISE_MARKER):
        end = start + len(_TOKENIZER.encode(attempt))
        answer = task.extract(question, attempt)
        if answer is not None:
            found.append((answer, float(np.sum(said[start:end]))))
        start = end + len(_TOKENIZER.encode(REVISE_MARKER))
    return found


def area(tokens: ArrayLike, accuracy: ArrayLike) -> float:
    """Mean accuracy over a budget drawn uniformly between the least and the most of `tokens`.

    `tokens` (budgets,) rise; trapezoids between them. Raises `BadInput` where they don't.
    """
    at, right = np.asarray(tokens, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    if at.shape != right.shape or at.ndim != 1 or len(at) < 2 or np.any(np.diff(at) <= 0):
        raise BadInput(f"an area needs budgets that rise and an accuracy for each, got {at}")
    return float(np.trapezoid(right, at) / (at[-1] - at[0]))
