"""Voting: is the leading answer right, and what would more votes buy? Without seeing the truth.

Bayes' rule on the model of `vote_law`. What m more votes buy is simulated: futures are drawn from
the same posterior, so that predicted gains and predicted accuracies agree with each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc

from bursar.errors import BadInput
from bursar.value.base import Floats, Ints
from bursar.value.vote_law import VoteLaw, log_arrangements, pad_counts

_FUTURES = 40_000  # simulated per call of gain, shared by the distinct patterns of counts
_LEAST_FUTURES = 8


def p_top_beats_second(top: ArrayLike, second: ArrayLike) -> Floats:
    """P(the leader is more likely than the runner-up per sample), given votes for each.

    Posterior Beta(top + 1, second + 1) above 1/2: the stopping rule of Aggarwal et al., "Let's
    Sample Step by Step: Adaptive-Consistency", 2023, arXiv:2305.11860 (stop at 0.95). Votes may be
    sums of weights. Shapes broadcast.
    """
    first, other = np.asarray(top, dtype=float), np.asarray(second, dtype=float)
    if not (np.all(first >= 0) and np.all(other >= 0)):
        raise BadInput(f"votes must be zero or more, got {first} and {other}")
    return np.asarray(betainc(other + 1, first + 1, 0.5), dtype=np.float64)


@dataclass(frozen=True)
class VotePosterior:
    """What the votes so far say of many questions at once.

    Parameters
    ----------
    counts
        Votes per distinct answer: (questions, answers) with 0 as filling, or rows of any length.
    law
        The task's law of votes; the default assumes nothing, `VoteLaw.fit` learns it
        from labelled questions.
    weights
        Sums of the samples' weights per distinct answer, in the shape of `counts` (for example
        exp of mean log-probability). A question's counts are redistributed in their proportion.
    """

    counts: Sequence[Sequence[float]] | ArrayLike
    law: VoteLaw = field(default_factory=VoteLaw)
    weights: Sequence[Sequence[float]] | ArrayLike | None = None

    @cached_property
    def votes(self) -> Floats:
        """Counts, redistributed by weight where weights are given; (questions, answers)."""
        counts = pad_counts(self.counts)
        if self.weights is None:
            return counts
        weights = pad_counts(self.weights)
        if weights.shape != counts.shape or np.any((counts == 0) & (weights > 0)):
            raise BadInput("weights must have the shape of counts, and 0 where there is no vote")
        total = weights.sum(axis=1, keepdims=True)
        share = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
        return np.where(total > 0, counts.sum(axis=1, keepdims=True) * share, counts)

    @cached_property
    def p_answers(self) -> Floats:
        """P(this answer is the right one), (questions, answers). Rows sum to 1 - `p_unseen`."""
        return self._posterior[:, 1:]

    @cached_property
    def p_unseen(self) -> Floats:
        """P(the right answer has no vote yet), (questions,)."""
        return self._posterior[:, 0]

    @cached_property
    def best(self) -> Ints:
        """Index of the answer most likely right, (questions,); 0 when there is no vote."""
        found: Ints = self.p_answers.argmax(axis=1)
        return found

    @cached_property
    def p_correct(self) -> Floats:
        """P(the best answer is right), (questions,); 0 when there is no vote."""
        chance: Floats = self.p_answers.max(axis=1)
        return chance

    def gain(self, samples: ArrayLike, *, seed: int = 0) -> Floats:
        """Expected rise of P(the best answer is right) by `samples` more votes.

        Shape (questions,) for one number, (questions, len(samples)) for several. Never negative,
        and non-decreasing in `samples`. Equal votes have equal gains. Fractional votes are
        rounded for this purpose.
        """
        wanted = np.atleast_1d(np.asarray(samples, dtype=np.int64))
        if np.any(wanted < 1):
            raise BadInput(f"samples must be at least 1, got {wanted}")
        whole = np.where(self.votes > 0, np.maximum(np.rint(self.votes), 1), 0).astype(np.int64)
        ordered = -np.sort(-whole, axis=1)
        patterns, which = np.unique(ordered, axis=0, return_inverse=True)
        gains = _simulated_gain(self.law, patterns, wanted, seed)[which.reshape(-1)]
        return gains if np.ndim(samples) else gains[:, 0]

    @cached_property
    def _posterior(self) -> Floats:
        """(questions, 1 + answers): first "not seen", then each answer."""
        posterior = self.law.posterior(self.votes)
        answers = self.law.calibrate(posterior[:, 1:], self.votes.sum(axis=1))
        return np.column_stack([1 - answers.sum(axis=1), answers])


class _Table:
    """`VoteLaw.log_joint` looked up: [extra samples][row's n, wrong answers, votes]."""

    def __init__(self, law: VoteLaw, samples: Ints, most_wrong: int, most_more: int) -> None:
        self.law = law
        self.sizes, self.row = np.unique(samples, return_inverse=True)
        wrong = np.arange(most_wrong + 1)[:, None]
        votes = np.arange(int(samples.max(initial=0)) + most_more + 1)
        # votes beyond n never occur; clipping them keeps the formula finite
        self.table = [
            np.stack([law.log_joint(np.minimum(votes, n + m), n + m, wrong) for n in self.sizes])
            for m in range(most_more + 1)
        ]

    def __call__(self, more: int, wrong: Ints, votes: Ints) -> Floats:
        row = self.row.reshape((-1,) + (1,) * (votes.ndim - 1))
        found: Floats = self.table[more][row, wrong, votes]
        return found


def _simulated_gain(law: VoteLaw, votes: Ints, wanted: Ints, seed: int) -> Floats:
    """E[max_j P'_j - P'_first] after each of `wanted` more votes; `votes` descending, (rows, K).

    P' is the posterior after the future votes. Its expectation now is P, so the difference is the
    gain, yet it is 0 in every future that keeps the leader: little noise, and never negative.
    """
    rng = np.random.default_rng(seed)
    most = int(wanted.max())
    rows, answers = votes.shape
    futures = max(_LEAST_FUTURES, _FUTURES // max(1, rows))
    table = _Table(law, votes.sum(axis=1), answers + most, most)
    # slots: the answers seen, then the right one if it was not seen, then new wrong ones
    state = np.zeros((rows, futures, answers + 1 + most), dtype=np.int64)
    state[:, :, :answers] = votes[:, None]
    posterior = _after(table, 0, state[:, :1])[:, 0, : answers + 1]
    posterior[:, answers] = 1 - posterior[:, :answers].sum(axis=1)
    # stratified draws: each hypothesis appears in proportion, to within one future
    level = (np.arange(futures) + rng.random((rows, 1))) / futures
    edge = np.cumsum(posterior, axis=1)[:, None, :]
    right = np.minimum((edge < level[..., None]).sum(axis=2), answers)
    gains = {}
    for more in range(1, most + 1):
        _draw(table, more, state, right, answers + more, rng)
        if more in wanted:
            size = votes.sum(axis=1)[:, None] + more
            after = law.calibrate(_after(table, more, state), size)
            gains[more] = (after.max(axis=2) - after[:, :, 0]).mean(axis=1)
    ordered = np.array([gains[int(m)] for m in np.unique(wanted)])
    rising = np.maximum.accumulate(ordered, axis=0)
    return rising[np.searchsorted(np.unique(wanted), wanted)].T


def _draw(
    table: _Table, more: int, state: Ints, right: Ints, fresh: int, rng: np.random.Generator
) -> None:
    """Add one vote to every future, in place; a new wrong answer goes to slot `fresh`."""
    mine = np.take_along_axis(state, right[..., None], axis=2)[..., 0]
    wrong = (state > 0).sum(axis=2) - (mine > 0)
    before = table(more - 1, wrong, mine)
    hit = np.exp(table(more, wrong, mine + 1) - before)
    new = np.exp(table(more, wrong + 1, mine) - before)
    u = rng.random(mine.shape)
    others = state.copy()
    np.put_along_axis(others, right[..., None], 0, axis=2)
    mass = np.cumsum(np.maximum(others - table.law.discount, 0), axis=2)
    # the rest of u, rescaled, picks an old wrong answer in proportion to its votes less d
    rest = np.clip((u - hit - new) / np.maximum(1 - hit - new, 1e-300), 0, 1 - 1e-12)
    old = (mass <= (rest * mass[..., -1])[..., None]).sum(axis=2)
    slot = np.where(u < hit, right, np.where((u < hit + new) | (mass[..., -1] == 0), fresh, old))
    np.put_along_axis(state, slot[..., None], np.take_along_axis(state, slot[..., None], 2) + 1, 2)


def _after(table: _Table, more: int, state: Ints) -> Floats:
    """P(slot is right) in every future, (rows, futures, slots)."""
    distinct = (state > 0).sum(axis=2, keepdims=True)
    score = table(more, np.maximum(distinct - 1, 0), state)
    score = score - log_arrangements(state.astype(float), table.law.discount)
    score = np.where(state > 0, score, -np.inf)
    unseen = table(more, distinct, np.zeros_like(distinct))
    top = np.maximum(score.max(axis=2, keepdims=True), unseen)
    chance = np.exp(score - top)
    posterior: Floats = chance / (chance.sum(axis=2, keepdims=True) + np.exp(unseen - top))
    return posterior
