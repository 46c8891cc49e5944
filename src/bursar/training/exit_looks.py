"""Looks at texts that check themselves, labelled by forced exits: what exit probes learn from.

A forced exit at the end of an attempt gives the answer of that attempt, so its label is exact and
costs nothing. No torch here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

from bursar.backends.base import Request
from bursar.backends.tiny.engine import Engine
from bursar.backends.tiny.guided import generate
from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.reason.exits.lynx import MAX_TOKENS, ROUNDS
from bursar.reason.exits.self_checks import Bools, Looks, SelfChecks
from bursar.workload.tasks.base import Question
from bursar.workload.tasks.chain import MODULUS

LEVELS = ("3", "4", "5", "6")
TEMPERATURE = 0.7


@dataclass(eq=False)
class Recorder:
    """An exit rule that never exits and keeps every look."""

    looks: list[Looks] = field(default_factory=list)

    def exits(self, looks: Looks) -> Bools:
        """All False."""
        self.looks.append(replace(looks, logprobs=looks.logprobs.copy()))
        return np.zeros(len(looks.rows), np.bool_)


@dataclass(frozen=True, slots=True)
class Labelled:
    """Looks at many texts."""

    looks: Looks
    safe: Bools
    """(n,): whether an exit at this look gives the right answer."""
    lengths: NDArray[np.int64]
    """(texts,): tokens said in the full texts."""

    @classmethod
    def join(cls, parts: Sequence[Labelled]) -> Labelled:
        """Texts of several sources, one after the other."""
        starts = np.cumsum([0, *(len(p.lengths) for p in parts)])
        looks = Looks(
            **{
                f.name: np.concatenate([getattr(p.looks, f.name) for p in parts])
                for f in fields(Looks)
            }
        )
        rows = [p.looks.rows + start for p, start in zip(parts, starts, strict=False)]
        return cls(
            replace(looks, rows=np.concatenate(rows)),
            np.concatenate([p.safe for p in parts]),
            np.concatenate([p.lengths for p in parts]),
        )

    @property
    def last(self) -> Bools:
        """(n,): whether this is the last look at its text."""
        return np.append(self.looks.rows[1:] != self.looks.rows[:-1], True)


@dataclass(frozen=True, slots=True)
class Played:
    """What an exit rule made of texts, per text: left early, right in the end, tokens said."""

    left: Bools
    right: Bools
    tokens: NDArray[np.int64]

    @property
    def premature(self) -> float:
        """Share of the texts that were left with a wrong answer."""
        return float((self.left & ~self.right).mean())


def play(texts: Labelled, scores: NDArray[np.float32], above: float) -> Played:
    """Leave each text at its first look whose score (n,) exceeds `above`.

    What a text says does not depend on where it will be left, so this is what a rule at work does.
    """
    last = np.flatnonzero(texts.last)
    at = np.searchsorted(last, np.arange(len(scores)))  # look -> its text among those with looks
    exits = np.flatnonzero(scores > above)[::-1]
    chosen, left = last.copy(), np.zeros(len(last), np.bool_)
    chosen[at[exits]] = exits  # the earliest is written last
    left[at[exits]] = True
    tokens = np.where(left, texts.looks.said[chosen] + 1, texts.lengths[texts.looks.rows[last]])
    return Played(left, texts.safe[chosen], tokens)


def collect(engine: Engine, questions: Sequence[Question], *, seed: int) -> Labelled:
    """Every look at the full texts of chain `questions`, text by text and in order."""
    recorder = Recorder()
    texts = generate(
        engine,
        [
            Request(q.prompt, MAX_TOKENS, q.id, temperature=TEMPERATURE, seed=seed)
            for q in questions
        ],
        SelfChecks(ROUNDS, recorder),
    )
    rows = np.concatenate([look.rows for look in recorder.looks])
    order = np.lexsort((np.concatenate([look.attempts for look in recorder.looks]), rows))
    looks = Looks(
        **{
            f.name: np.concatenate([getattr(k, f.name) for k in recorder.looks])[order]
            for f in fields(Looks)
        }
    )
    stated = [Tokenizer().decode([token]) for token in looks.answers.tolist()]
    right = [questions[row].answer for row in looks.rows.tolist()]
    safe = [a.isdigit() and str(int(a) % MODULUS) == r for a, r in zip(stated, right, strict=True)]
    lengths = np.array([len(text.tokens) for text in texts])
    return Labelled(looks, np.array(safe), lengths)
