"""What the attempts at each question say, hypothesis by hypothesis: the counts behind
`AnswerBelief`, kept question by question so that new attempts change only their question's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from bursar.value.arm_difficulty import LOG_RIGHT, LOG_WRONG
from bursar.value.base import Floats, Ints

Bools = NDArray[np.bool_]
ALPHAS = np.array([0.5, 2.0, 8.0, 32.0])
HYPOTHESES = 4
"""Slots of a question: its three leading answers, and "none of those seen", which is the last."""
TINY = 1e-300


@dataclass(frozen=True, slots=True)
class Votes:
    """The attempts on one question: per attempt its arm and its answer's index (-1: no answer, or
    one that a checker refused).

    `right` is the index of the answer known to be right, if any; -1: none of those given is.
    """

    arms: Sequence[int]
    answers: Sequence[int]
    right: int | None = None
    hint: float | None = None
    """Something that rises with the ease of the question, on any scale; None: nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Per question and slot: which answer is taken to be right (-1: none seen), and what then
    were right and wrong attempts. A slot that is not `live` holds no hypothesis."""

    answer: Ints
    """(questions, slots)"""
    live: Bools
    trials: Floats
    """(questions, arms)"""
    right: Floats
    """(questions, slots, arms)"""
    num_wrong: Floats
    """Wrong attempts that named an answer, (questions, slots)."""
    num_groups: Floats
    """How many answers they named."""
    top_wrong: Floats
    """How many named the commonest."""
    group_terms: Floats
    """Sum of log (size - 1)! over those answers."""

    @classmethod
    def none(cls, questions: int, arms: int, slots: int) -> Evidence:
        """Before any attempt: one hypothesis each, the last slot's."""
        live = np.zeros((questions, slots), dtype=np.bool_)
        live[:, -1] = True
        zeros = (np.zeros((questions, slots)) for _ in range(4))
        return cls(
            np.full((questions, slots), -1),
            live,
            np.zeros((questions, arms)),
            np.zeros((questions, slots, arms)),
            *zeros,
        )

    def take(self, rows: Ints) -> Evidence:
        """That of some questions."""
        return Evidence(*(getattr(self, name)[rows] for name in self.__slots__))

    def lay(self, rows: Ints, votes: Sequence[Votes], checked: bool) -> None:
        """What is known of the questions `rows` is now this."""
        lengths = [len(v.answers) for v in votes]
        of = np.repeat(np.arange(len(votes)), lengths)
        arm, named = _flat(v.arms for v in votes), _flat(v.answers for v in votes)
        trials = np.zeros((len(votes), self.trials.shape[1]))
        np.add.at(trials, (of, arm), 1.0)
        width = int(named.max(initial=0)) + 1
        counts = np.zeros((len(votes), width, trials.shape[1]))
        valid = named >= 0
        np.add.at(counts, (of[valid], named[valid], arm[valid]), 1.0)
        answer, live = self._hypotheses(counts.sum(axis=2), votes, checked)
        each = np.arange(len(votes))[:, None]
        backed = answer >= 0
        right = np.where(backed[..., None], counts[each, answer], 0.0)
        wrong = np.repeat(counts.sum(axis=2)[:, None], answer.shape[1], axis=1)
        wrong[(*np.nonzero(backed), answer[backed])] = 0.0
        self.answer[rows], self.live[rows] = answer, live
        self.trials[rows], self.right[rows] = trials, right
        self.num_wrong[rows], self.num_groups[rows] = wrong.sum(axis=2), (wrong > 0).sum(axis=2)
        self.top_wrong[rows] = wrong.max(axis=2)
        self.group_terms[rows] = np.where(wrong > 0, gammaln(np.maximum(wrong, 1)), 0.0).sum(axis=2)

    def _hypotheses(
        self, counts: Floats, votes: Sequence[Votes], checked: bool
    ) -> tuple[Ints, Bools]:
        """(questions, slots): which answer a slot takes to be right, and whether it does."""
        slots = self.answer.shape[1]
        answer = np.full((len(votes), slots), -1)
        live = np.zeros_like(answer, dtype=np.bool_)
        live[:, -1] = True
        if not checked:
            order = np.argsort(-counts, axis=1, kind="stable")[:, : slots - 1]
            has = np.take_along_axis(counts, order, axis=1) > 0
            answer[:, : order.shape[1]] = np.where(has, order, -1)
            live[:, : order.shape[1]] = has
        for i, v in enumerate(votes):
            if v.right is not None:
                answer[i], live[i] = -1, False
                answer[i, 0], live[i, 0] = v.right, True
        return answer, live

    def log_scatter(self) -> Floats:
        """(questions, slots, alphas): log of how the wrong answers fell together (Chinese
        restaurant), but for alpha's share."""
        opened = self.num_groups[..., None] * np.log(ALPHAS)
        seated = gammaln(ALPHAS) - gammaln(ALPHAS + self.num_wrong[..., None])
        return np.asarray(self.group_terms[..., None] + opened + seated)


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The different (right, wrong) counts of one arm, and which rows have them: rows in `order`
    fall into runs that begin at `start`. Rows where the arm was not asked are left out."""

    rows: Ints
    kind: Ints
    """Of each pair: questions of different kinds are never one pair."""
    inverse: Ints
    order: Ints
    start: Ints
    like: Floats
    """(pairs, rates): P(outcomes | rate) over the largest of the row, whose log is `peak`."""
    peak: Floats

    @classmethod
    def of(cls, right: Floats, trials: Floats, kind: Ints) -> Pairs:
        rows = np.flatnonzero(trials)
        right, trials, kind = right[rows], trials[rows], kind[rows]
        most = trials.max(initial=0.0) + 1
        key = (kind * most + right) * most + trials
        _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        order = np.argsort(inverse, kind="stable")
        start = np.flatnonzero(np.diff(inverse[order], prepend=-1))
        like, peak = likelihood(right[first], trials[first])
        return cls(rows, kind[first], inverse, order, start, like, peak)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """All hypotheses as flat rows, for learning: what no law changes is worked out once."""

    question: Ints
    slot: Ints
    shape: tuple[int, int]
    num_wrong: Floats
    scatter: Floats
    pairs: tuple[Pairs, ...]
    given: list[Floats]
    """Per arm (pairs, eases): P(outcomes | ease), over the row's largest; see `given_ease`."""

    @classmethod
    def of(cls, seen: Evidence, kinds: Ints) -> Rows:
        question, slot = np.nonzero(seen.live)
        right, trials, kind = seen.right[question, slot], seen.trials[question], kinds[question]
        return cls(
            question,
            slot,
            (seen.live.shape[0], seen.live.shape[1]),
            seen.num_wrong[question, slot],
            seen.log_scatter()[question, slot],
            tuple(Pairs.of(r, t, kind) for r, t in zip(right.T, trials.T, strict=True)),
            [],
        )

    def given_ease(self, laws: Floats) -> Floats:
        """(rows, eases): log P(outcomes of all arms | ease) under `laws` (kinds, arms, eases,
        rates)."""
        total = np.zeros((len(self.question), laws.shape[2]))
        by_arm = laws.transpose(1, 0, 3, 2)
        self.given[:] = [
            through(p.like, law, p.kind) + TINY for p, law in zip(self.pairs, by_arm, strict=True)
        ]
        for pairs, given in zip(self.pairs, self.given, strict=True):
            total[pairs.rows] += (np.log(given) + pairs.peak[:, None])[pairs.inverse]
        return total

    def weights(self, like: Floats) -> Floats:
        """(rows,) posterior of the hypotheses within their questions."""
        dense = np.full(self.shape, -np.inf)
        dense[self.question, self.slot] = like
        share = np.exp(dense - dense.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        return np.asarray(share[self.question, self.slot])

    def share(self, arm: int, ease: Floats, kinds: int) -> Floats:
        """(kinds, eases, rates): sum over each kind's rows of P(ease) / P(outcomes | ease) *
        P(outcomes | rate)."""
        pairs = self.pairs[arm]
        by_pair = np.add.reduceat(ease[pairs.rows[pairs.order]], pairs.start, axis=0)
        each = by_pair / self.given[arm]
        of = [pairs.kind == kind for kind in range(kinds)]
        return np.stack([each[mine].T @ pairs.like[mine] for mine in of])


@dataclass(frozen=True, slots=True)
class Scale:
    """What hints are measured by: their mean and deviation."""

    mean: float = 0.0
    deviation: float = np.inf

    @classmethod
    def of(cls, hints: Floats) -> Scale:
        """Of those known; with fewer than two different ones no hint says anything."""
        known = hints[~np.isnan(hints)]
        if len(known) < 2 or known.std() == 0:
            return cls()
        return cls(float(known.mean()), float(known.std()))

    def standard(self, hints: Floats) -> Floats:
        """Mean 0 and deviation 1; 0 where there is none."""
        return np.asarray(np.nan_to_num((hints - self.mean) / self.deviation))


def through(rows: Floats, matrices: Floats, kind: Ints) -> Floats:
    """(rows, ..., out): every row times its kind's matrix; `matrices` (kinds, in, out)."""
    if len(matrices) == 1:
        return np.asarray(rows @ matrices[0])
    out = np.empty((*rows.shape[:-1], matrices.shape[-1]))
    for k in np.unique(kind):
        mine = kind == k
        out[mine] = rows[mine] @ matrices[k]
    return out


def likelihood(right: Floats, trials: Floats) -> tuple[Floats, Floats]:
    """(..., rates): P(outcomes | rate), over its largest, and the logarithm of that."""
    log = right[..., None] * LOG_RIGHT + (trials - right)[..., None] * LOG_WRONG
    peak = log.max(axis=-1)
    return np.exp(log - peak[..., None]), np.asarray(peak)


def _flat(parts: Iterable[Sequence[int]]) -> Ints:
    return np.array([x for part in parts for x in part], dtype=np.int64)
