"""Kinds of questions: which questions of a task are alike, so that what an arm was seen to be worth
on some is believed of the others. By the level that the source gives, else by their words.

With one model there is nothing to choose between: there, kinds by level gained nothing (LOG.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bursar.value.base import Ints
from bursar.value.text_features import TextFeatures
from bursar.workload.tasks.base import Question

FEWEST = 12
"""Questions of a kind on average: fewer teach too little of it."""
MOST = 6
"""Kinds that words are sorted into."""
ALIKE, STEPS = 0.5, 10


@dataclass(frozen=True, slots=True, eq=False)
class Kinds:
    """The names of kinds, and which of them each question is `of` (questions,)."""

    names: tuple[str, ...]
    of: Ints


def one_kind(questions: Sequence[Question]) -> Kinds:
    """The task alone."""
    return Kinds((questions[0].task,), np.zeros(len(questions), dtype=np.int64))


def kinds_of(questions: Sequence[Question]) -> Kinds:
    """Of the questions of one task; one kind where they are few or all alike."""
    task = questions[0].task
    levels = sorted({q.level for q in questions})
    if 1 < len(levels) <= len(questions) / FEWEST:
        of = np.array([levels.index(q.level) for q in questions])
        return Kinds(tuple(f"{task} {level}" for level in levels), of)
    most = min(MOST, len(questions) // (2 * FEWEST))
    if len(levels) > 1 or most < 2:
        return one_kind(questions)
    prompts = [q.prompt for q in questions]
    of = clusters(TextFeatures.fit(prompts).of(prompts), most)
    if not of.any():
        return one_kind(questions)
    words = [set(prompt.lower().split()) for prompt in prompts]
    names = (_telling(words, of == kind) for kind in range(of.max() + 1))
    return Kinds(tuple(f"{task}: {name}" for name in names), of)


def clusters(rows: sparse.csr_array, most: int) -> Ints:
    """(rows,) the cluster of each row of unit length: k-means on cosines, from rows far apart.

    As many clusters as it takes for every row to be `ALIKE` one of the first rows, up to `most`.
    """
    first = [0]
    nearest = (rows @ rows[[0]].T).toarray()[:, 0]
    while len(first) < most and nearest.min() < ALIKE:
        first.append(int(nearest.argmin()))
        nearest = np.maximum(nearest, (rows @ rows[[first[-1]]].T).toarray()[:, 0])
    centres = rows[first].toarray()
    of = np.zeros(rows.shape[0], dtype=np.int64)
    for _ in range(STEPS):
        of = np.asarray(rows @ centres.T).argmax(axis=1)
        of = np.unique(of, return_inverse=True)[1]
        member = sparse.csr_array((np.ones(len(of)), (of, np.arange(len(of)))))
        sums = (member @ rows).toarray()
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return of


def _telling(words: Sequence[set[str]], mine: NDArray[np.bool_]) -> str:
    """The word that most of these prompts have and fewest others."""
    here = Counter(w for some, my in zip(words, mine, strict=True) if my for w in some)
    there = Counter(w for some, my in zip(words, mine, strict=True) if not my for w in some)
    inside, outside = int(mine.sum()), max(int((~mine).sum()), 1)
    return max(here, key=lambda w: (here[w] / inside - there[w] / outside, w), default="")
