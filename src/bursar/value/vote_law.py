"""The task's law of votes: how often samples are right, and how much wrong ones agree.

One question: a sample is right with probability p; wrong samples fall on wrong answers like guests
in a Chinese restaurant (Pitman-Yor) with concentration c (small: they agree; large: all differ) and
discount d (0: no long tail; near 1: a few tempting mistakes and a long tail). (p, c) is drawn
from the task's law, a table over two grids; d is the task's. For n samples over K
distinct answers, the joint chance of the counts and "the answer with v votes is the right one" is

    E_(p,c)[ p^v (1-p)^(n-v)  c (c+d) ... (c + (w-1) d) G(c) / G(c + n - v) ]
      * product over the w = K - 1 other answers of G(v_i - d) / G(1 - d)        (G: gamma function)

and "the right one was not seen" is the same with v = 0 and w = K.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit, gammaln, log_expit, logit, logsumexp

from bursar.errors import BadInput
from bursar.value.base import Floats, Ints

_LOGIT = np.linspace(-5.0, 5.0, 21)
_LOG_RIGHT, _LOG_WRONG = log_expit(_LOGIT), log_expit(-_LOGIT)
_CONCENTRATION = np.geomspace(0.25, 256.0, 6)
_LOG_CONCENTRATION, _LOG_GAMMA = np.log(_CONCENTRATION), gammaln(_CONCENTRATION)
_AS_MODELLED = (0.0, 1.0, 0.0, 0.0)
_DISCOUNTS = (0.0, 0.2, 0.4, 0.6, 0.8)


def _default_weight() -> Floats:
    """Before any evidence: p uniform on (0, 1), mistakes as likely to agree as to differ."""
    rate = expit(_LOGIT) * expit(-_LOGIT)  # the density of logit p when p is uniform
    return np.outer(rate / rate.sum(), np.full(len(_CONCENTRATION), 1 / len(_CONCENTRATION)))


@dataclass(frozen=True)
class VoteLaw:
    """The default assumes little; `fit` learns it from labelled questions.

    `weight` is P(p, c) on the grids, (rates, concentrations); `discount` is d; `calibration` holds
    the coefficients of `calibrate`.
    """

    weight: Floats = field(default_factory=_default_weight)
    discount: float = 0.4
    calibration: tuple[float, ...] = _AS_MODELLED

    def __post_init__(self) -> None:
        shape = (len(_LOGIT), len(_CONCENTRATION))
        if self.weight.shape != shape or not np.isclose(self.weight.sum(), 1):
            raise BadInput(f"weight must have shape {shape} and sum to 1: make it with fit()")
        if not 0 <= self.discount < 1:
            raise BadInput(f"discount must lie in [0, 1), got {self.discount}")
        if len(self.calibration) != len(_AS_MODELLED):
            raise BadInput(f"calibration needs 4 coefficients, got {len(self.calibration)}")

    def log_joint(self, votes: ArrayLike, samples: ArrayLike, wrong: ArrayLike) -> Floats:
        """log E[...] above: v `votes` for the right answer of n `samples`, the others over w
        distinct `wrong` answers. Shapes broadcast; votes need not be whole.
        """
        by_rate, by_spread = _factors(*_broadcast(votes, samples, wrong), self.discount)
        top = by_rate.max(axis=-1) + by_spread.max(axis=-1)
        scaled = np.exp(by_rate - by_rate.max(axis=-1, keepdims=True)) @ self.weight
        scaled *= np.exp(by_spread - by_spread.max(axis=-1, keepdims=True))
        joint: Floats = np.log(scaled.sum(axis=-1)) + top
        return joint

    def calibrate(self, posterior: Floats, samples: ArrayLike) -> Floats:
        """`posterior` (..., answers) with the leader's chance corrected, the others' in proportion.

        `samples` n (...,) is the number of votes. logit P = a + b logit p + log n (c + d logit p).
        """
        if self.calibration == _AS_MODELLED or not posterior.size:
            return posterior
        leader = posterior.max(axis=-1, keepdims=True)
        x = _calibration_features(leader, np.asarray(samples, dtype=float)[..., None])
        chance = expit(np.tensordot(np.array(self.calibration), x, axes=1))
        chance = np.where(leader > 0, chance, 0.0)
        others = posterior * (1 - chance) / np.maximum(1 - leader, 1e-12)
        corrected: Floats = np.where(posterior == leader, chance, np.minimum(others, chance))
        return corrected

    @classmethod
    def fit(
        cls,
        counts: Sequence[Sequence[float]] | ArrayLike,
        right: ArrayLike,
        *,
        prior_questions: float = 5.0,
        seed: int = 0,
    ) -> VoteLaw:
        """Learn the law from labelled questions: EM shrunk to the default, then the calibration.

        `counts`: whole votes per distinct answer, rows of any length. `right` (questions,): the
        index of the right answer in its row, -1 when it was not seen.
        """
        votes, known = pad_counts(counts), np.asarray(right, dtype=np.int64)
        if known.shape != (len(votes),) or np.any((known < -1) | (known >= votes.shape[1])):
            raise BadInput("right must hold, for each question, an index in its row or -1")
        if np.any((known >= 0) & (_picked(votes, np.maximum(known, 0)) == 0)):
            raise BadInput("right must be -1 where the right answer has no vote")
        fitted = [_fit_weight(votes, known, d, prior_questions) for d in _DISCOUNTS]
        _, weight, discount = max(fitted, key=lambda found: found[0])
        law = cls(weight, discount)
        return cls(weight, discount, _fit_calibration(law, votes, known, seed))

    def posterior(self, votes: Floats) -> Floats:
        """P(right), uncorrected: first "not seen", then each answer; (questions, 1 + answers)."""
        right = np.column_stack([np.zeros(len(votes)), votes])
        wrong = (votes > 0).sum(axis=1, keepdims=True) - (right > 0)
        score = self.log_joint(right, votes.sum(axis=1, keepdims=True), wrong)
        score = score - log_arrangements(right, self.discount)
        score[:, 1:][votes == 0] = -np.inf
        chance: Floats = np.exp(score - logsumexp(score, axis=1, keepdims=True))
        return chance

    def to_dict(self) -> dict[str, Any]:
        """As plain numbers, for a profile file; `from_dict` reads it back."""
        return {
            "weight": self.weight.tolist(),
            "discount": self.discount,
            "calibration": list(self.calibration),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> VoteLaw:
        """From `to_dict`; raises `BadInput` on missing keys or wrong shapes."""
        try:
            weight = np.array(stored["weight"], dtype=float)
            calibration = tuple(float(c) for c in stored["calibration"])
            return cls(weight, float(stored["discount"]), calibration)
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"not a stored vote law ({error}): write it with to_dict") from error


def pad_counts(counts: Sequence[Sequence[float]] | ArrayLike) -> Floats:
    """Rows of any length -> (questions, answers), filled with 0; at least one column.

    Raises `BadInput` on votes that are negative or not finite.
    """
    if isinstance(counts, np.ndarray) and counts.ndim == 2:
        votes = counts.astype(float)
    else:
        rows = [np.asarray(row, dtype=float) for row in counts]  # type: ignore[union-attr]
        votes = np.zeros((len(rows), max((len(row) for row in rows), default=0)))
        for i, row in enumerate(rows):
            votes[i, : len(row)] = row
    if not np.all(np.isfinite(votes) & (votes >= 0)):
        raise BadInput("votes must be finite and zero or more")
    return votes if votes.shape[1] else np.zeros((len(votes), 1))


def log_arrangements(votes: Floats, discount: float) -> Floats:
    """log G(v - d) / G(1 - d): how v votes for one wrong answer came about; 0 below one vote."""
    ways: Floats = gammaln(np.maximum(votes, 1) - discount) - gammaln(1 - discount)
    return ways


def _fit_weight(
    votes: Floats, known: Ints, discount: float, prior: float, steps: int = 60
) -> tuple[float, Floats, float]:
    """log P(counts, right answers), the weights and the discount they were fitted with."""
    right = np.where(known >= 0, _picked(votes, np.maximum(known, 0)), 0)
    wrong = (votes > 0).sum(axis=1) - (right > 0)
    by_rate, by_spread = _factors(*_broadcast(right, votes.sum(axis=1), wrong), discount)
    ways = log_arrangements(votes, discount).sum(axis=1) - log_arrangements(right, discount)
    shift = by_rate.max(axis=1) + by_spread.max(axis=1) + ways
    by_rate = np.exp(by_rate - by_rate.max(axis=1, keepdims=True))
    by_spread = np.exp(by_spread - by_spread.max(axis=1, keepdims=True))
    imagined = prior * _default_weight()
    weight = _default_weight()
    for _ in range(steps):
        chance = ((by_rate @ weight) * by_spread).sum(axis=1)
        weight = weight * (by_rate.T @ (by_spread / chance[:, None])) + imagined
        weight /= weight.sum()
    chance = ((by_rate @ weight) * by_spread).sum(axis=1)
    return float((np.log(chance) + shift).sum()), weight, discount


def _picked(votes: Floats, index: Ints) -> Floats:
    """votes[i, index[i]]."""
    picked: Floats = np.take_along_axis(votes, index[:, None], axis=1)[:, 0]
    return picked


def _calibration_features(leader: Floats, samples: Floats) -> Floats:
    """(4, ...): 1, logit p, log n, logit p log n."""
    doubt = logit(np.clip(leader, 1e-3, 1 - 1e-3))
    size = np.broadcast_to(np.log(np.maximum(samples, 1)), doubt.shape)
    return np.stack([np.ones_like(doubt), doubt, size, doubt * size])


def _fit_calibration(law: VoteLaw, votes: Floats, known: Ints, seed: int) -> tuple[float, ...]:
    """Logistic regression, shrunk to no correction, on the questions at all sizes they contain.

    A record of n votes is also a record of n/2, n/4, ... votes, drawn from it at random: so the
    correction learns how it depends on n.
    """
    rng = np.random.default_rng(seed)
    total = votes.sum(axis=1)
    features, hits = [], []
    size = 1
    while size <= total.max(initial=0):
        rows = np.flatnonzero(total >= size)
        part = np.array(
            [rng.multivariate_hypergeometric(votes[i].astype(np.int64), size) for i in rows],
            dtype=float,
        )
        answers = law.posterior(part)[:, 1:]
        features.append(_calibration_features(answers.max(axis=1), part.sum(axis=1)))
        hits.append(answers.argmax(axis=1) == known[rows])
        size *= 2
    if not features:
        return _AS_MODELLED
    x, y = np.concatenate(features, axis=1), np.concatenate(hits).astype(float)
    none = np.array(_AS_MODELLED)

    def loss(free: Floats) -> tuple[float, Floats]:
        score = free @ x
        gap = free - none
        value = (np.logaddexp(0, score) - y * score).sum() + 2 * gap @ gap
        return float(value), x @ (expit(score) - y) + 4 * gap

    found = minimize(loss, none, jac=True, method="L-BFGS-B").x
    return tuple(float(c) for c in found)


def _broadcast(
    votes: ArrayLike, samples: ArrayLike, wrong: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    v, n, w = np.broadcast_arrays(
        np.asarray(votes, dtype=float), np.asarray(samples, float), np.asarray(wrong, float)
    )
    return v, n, w


def _factors(
    votes: Floats, samples: Floats, wrong: Floats, discount: float
) -> tuple[Floats, Floats]:
    """The logs of the part with p (..., rates) and of the part with c (..., concentrations)."""
    missed = (samples - votes)[..., None]
    by_rate: Floats = votes[..., None] * _LOG_RIGHT + missed * _LOG_WRONG
    if discount:
        tables = _CONCENTRATION / discount
        opened = wrong[..., None] * np.log(discount)
        opened = opened + gammaln(tables + wrong[..., None]) - gammaln(tables)
    else:
        opened = wrong[..., None] * _LOG_CONCENTRATION
    by_spread: Floats = opened + _LOG_GAMMA - gammaln(_CONCENTRATION + missed)
    return by_rate, by_spread
