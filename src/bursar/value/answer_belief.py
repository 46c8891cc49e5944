"""Which answer is right, and what would more attempts buy? Without seeing the true answer.

Every question has one right answer; an attempt by arm a finds it with probability p, whose law
over questions and arms is `ArmDifficulty`'s. A wrong attempt falls on one of the wrong answers by
a Chinese-restaurant law: on an earlier one with weight of its count, on a new one with weight
alpha. So attempts that agree are evidence, more so where wrong answers scatter (large alpha). Each
question has its own alpha out of `ALPHAS`: on most of them errors differ, on a few all attempts
fall into one trap, and that can't be told from agreement on the right answer. A hint, such as how
likely the first text was, may tell easy questions from hard ones before any agreement. All these
laws are learned from the attempts themselves by expectation-maximisation over the hypothesis
"this answer is right". Where attempts are checked, the checker settles the hypothesis.

A question has a row per hypothesis: each of its `HYPOTHESES` leading answers, and "none of those
seen". Everything is computed for all rows at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp, ndtr

from bursar.value.arm_difficulty import (
    EASES,
    LOG_RIGHT,
    LOG_WRONG,
    RATES,
    ArmDifficulty,
    moment_sums,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
HYPOTHESES = 3
ALPHAS = np.array([0.5, 2.0, 8.0, 32.0])
_TYPICAL_ALPHAS = (0.03, 0.17, 0.6, 0.2)
_ALPHA_QUESTIONS = _TRUST_QUESTIONS = 20.0
"""How many questions the first guess at the shares of `ALPHAS` counts as."""


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


@dataclass(frozen=True, slots=True)
class AnswerLaw:
    """What is known of a task: per arm the law of logit p, and the shares of `ALPHAS`.

    It counts as much as having seen `questions` questions.
    """

    mean: tuple[float, ...]
    slope: tuple[float, ...]
    spread: tuple[float, ...]
    alphas: tuple[float, ...] = _TYPICAL_ALPHAS
    trust: float = 0.5
    """Correlation of hint and ease."""
    questions: float = 2.0

    @classmethod
    def guess(cls, means: Sequence[float]) -> AnswerLaw:
        """Next to nothing: about this mean logit per arm, widely spread over questions."""
        return cls(tuple(means), (1.5,) * len(means), (1.0,) * len(means))


class AnswerBelief:
    """Beliefs about all questions of one task, learned together, from `start` on.

    `checked`: a checker sees every attempt, so one right attempt suffices. `observe` takes in what
    is known now, `refit` learns the laws, `p_right`, `leader` and `after` answer.
    """

    def __init__(self, num_questions: int, start: AnswerLaw, *, checked: bool = False) -> None:
        self.num_arms, self.checked, self.start = len(start.mean), checked, start
        self.rates = ArmDifficulty(num_questions, self.num_arms)
        self.rates.start(start.mean, start.slope, start.spread, start.questions)
        self.alphas, self.trust = np.array(start.alphas), start.trust
        self.observe([Votes((), ())] * num_questions)

    def law(self) -> AnswerLaw:
        """What has been learned so far."""
        mean, slope, spread = (
            tuple(map(float, x)) for x in (self.rates.mean, self.rates.slope, self.rates.spread)
        )
        seen = float((self.trials.sum(axis=1) > 0).sum())
        shares = tuple(map(float, self.alphas))
        seen += self.start.questions
        return AnswerLaw(mean, slope, spread, shares, self.trust, seen)

    def observe(self, votes: Sequence[Votes]) -> None:
        """What is known now, one `Votes` per question."""
        self._size = len(votes)
        lengths = [len(v.answers) for v in votes]
        self._q = np.repeat(np.arange(len(votes)), lengths)
        self._arm = _flat(v.arms for v in votes).astype(np.int64)
        self._named = _flat(v.answers for v in votes).astype(np.int64)
        self.trials = np.zeros((len(votes), self.num_arms))
        np.add.at(self.trials, (self._q, self._arm), 1.0)
        self._hint = _standard([v.hint for v in votes])
        self._lay_rows(votes)
        self._infer()

    def refit(self, steps: int = 4) -> None:
        """Learn the laws from everything observed: `steps` of EM from the present laws."""
        if not self.trials.any():
            return
        for _ in range(steps):
            weight = np.exp(self.log_posterior)
            self._learn_rates(weight)
            self._learn_alphas(weight)
            self._infer()

    def after(self, arm: int, counts: Sequence[int]) -> Floats:
        """(questions, len(counts)): P(right) after that many more attempts by `arm`, at least now.

        Checked, one right attempt suffices. Else the right answer must come to lead: given each
        hypothesis and its rate p, the lead over the strongest rival is a walk of +1 with
        probability p and -1 with (1 - p) times the rival's share of wrong answers, exact up to 4
        attempts and by a normal law beyond.
        """
        rate = self._rate_posterior(arm)
        belief = np.exp(self.log_posterior)
        leads_now = np.zeros(len(belief))
        leads_now[self._lead_row[self._lead_row >= 0]] = 1.0
        columns = []
        for count in counts:
            if self.checked:
                found = rate @ -np.expm1(count * LOG_WRONG)
                wins = np.maximum(leads_now, found)
            else:
                lead = self._lead / self._vote_weight(arm)
                wins = (rate * _overtake(lead, self._rival_share, count)).sum(axis=1)
            columns.append(np.bincount(self._row_q, belief * wins, self._size))
        rising = np.maximum.accumulate([self.p_right, *columns], axis=0)
        return np.asarray(rising[1:].T)

    # -- hypotheses --------------------------------------------------------------------------

    def _lay_rows(self, votes: Sequence[Votes]) -> None:
        """One row per hypothesis, and what each says of the attempts."""
        width = int(self._named.max(initial=-1)) + 1
        counts = np.zeros((self._size, max(width, 1)), dtype=np.int64)
        valid = self._named >= 0
        np.add.at(counts, (self._q[valid], self._named[valid]), 1)
        order = np.argsort(-counts, axis=1, kind="stable")[:, :HYPOTHESES]
        candidates = np.concatenate([order, np.full((self._size, 1), -1)], axis=1)
        size = np.take_along_axis(counts, np.maximum(candidates, 0), axis=1)
        live = (size > 0) | (candidates < 0)
        for q, v in enumerate(votes):
            if v.right is not None:
                candidates[q], live[q] = v.right, False
                live[q, 0] = True
            elif self.checked:
                live[q, :-1] = False
        rows_q, slot = np.nonzero(live)
        self._row_q, self.answer = rows_q, candidates[rows_q, slot]
        row_of = np.full((self._size, counts.shape[1] + 1), -1)
        row_of[self._row_q, self.answer] = np.arange(len(rows_q))  # answer -1: the last column
        self._attempt_row = np.where(valid, row_of[self._q, self._named], -1)
        self.right = np.zeros((len(rows_q), self.num_arms))
        backed = self._attempt_row >= 0
        np.add.at(self.right, (self._attempt_row[backed], self._arm[backed]), 1.0)
        wrong = counts[rows_q]
        named = self.answer >= 0
        wrong[np.flatnonzero(named), self.answer[named]] = 0
        self._num_wrong, self._num_groups = wrong.sum(axis=1), (wrong > 0).sum(axis=1)
        self._top_wrong = wrong.max(axis=1)
        self._group_terms = np.where(wrong > 0, gammaln(np.maximum(wrong, 1)), 0.0).sum(axis=1)

    def _infer(self) -> None:
        """Posterior over the hypotheses of each question; who leads, and by how much."""
        scatter = self._log_scatter()
        log_scatter = logsumexp(scatter, axis=1)
        self._alpha_posterior = np.exp(scatter - log_scatter[:, None])
        like = self._log_marginal() + log_scatter
        top = np.full(self._size, -np.inf)
        np.maximum.at(top, self._row_q, like)
        total = np.bincount(self._row_q, np.exp(like - top[self._row_q]), self._size)
        self.log_posterior = like - (top + np.log(total))[self._row_q]
        named = np.flatnonzero(self.answer >= 0)
        order = named[np.lexsort((-self.log_posterior[named], self._row_q[named]))]
        _, first = np.unique(self._row_q[order], return_index=True)
        self._lead_row = np.full(self._size, -1)
        self._lead_row[self._row_q[order[first]]] = order[first]
        has = self._lead_row >= 0
        self.leader = np.where(has, self.answer[self._lead_row], -1)
        self.p_right = np.where(has, np.exp(self.log_posterior[self._lead_row]), 0.0)
        second = np.full(self._size, -np.inf)
        later = np.setdiff1d(order, order[first])
        np.maximum.at(second, self._row_q[later], self.log_posterior[later])
        best = np.where(has, self.log_posterior[self._lead_row], -np.inf)
        leading = np.arange(len(like)) == self._lead_row[self._row_q]
        rival = np.where(leading, second[self._row_q], best[self._row_q])
        # one particular answer not seen yet is one of many: about alpha + 1 of them
        own = np.where(self.answer >= 0, self.log_posterior, self.log_posterior - self._newcomer)
        free = np.maximum(own, 0.0)  # no rival: any attempt takes the lead
        self._lead = np.clip(np.where(np.isfinite(rival), own - rival, free), -60.0, 60.0)
        repeat = 1 / (self._num_wrong[:, None] + ALPHAS)
        self._rival_share = self._top_wrong * (self._alpha_posterior * repeat).sum(axis=1)

    @property
    def _newcomer(self) -> float:
        return float(np.log(self._usual_alpha + 1.0))

    @property
    def _usual_alpha(self) -> float:
        return float(np.exp(self.alphas @ np.log(ALPHAS)))

    def _vote_weight(self, arm: int) -> float:
        """Log-odds that one more agreeing attempt adds, typically: p (1 + alpha) / (1 - p)."""
        p = float(self.rates.ease_weight @ self.rates.laws[arm] @ RATES)
        p = min(max(p, 0.05), 0.95)
        return float(np.clip(np.log(p * (1 + self._usual_alpha) / (1 - p)), 0.5, 6.0))

    # -- likelihoods, one number per row -----------------------------------------------------

    def _arm_likelihood(self, arm: int) -> Floats:
        """(rows, rates): log P(outcomes by `arm` | rate) under each row's hypothesis."""
        right = self.right[:, arm]
        wrong = self.trials[self._row_q, arm] - right
        return np.asarray(right[:, None] * LOG_RIGHT + wrong[:, None] * LOG_WRONG)

    def _given_ease(self, arm: int) -> Floats:
        """(rows, eases): log P(outcomes by `arm` | ease)."""
        if not self.trials[:, arm].any():
            return np.zeros((len(self._row_q), len(self.rates.ease_weight)))
        like = self._arm_likelihood(arm)
        peak = like.max(axis=1, keepdims=True)
        return np.asarray(np.log(np.exp(like - peak) @ self.rates.laws[arm].T + 1e-300) + peak)

    def _log_ease(self) -> Floats:
        """(rows, eases): log P(ease, outcomes of all arms)."""
        given = sum(self._given_ease(arm) for arm in range(self.num_arms))
        spread = 1 - self.trust**2 * (self._hint != 0)
        centre = self.trust * self._hint
        prior = -0.5 * (EASES - centre[:, None]) ** 2 / spread[:, None]
        prior -= logsumexp(prior, axis=1, keepdims=True)
        return np.asarray(prior[self._row_q] + given)

    def _log_marginal(self) -> Floats:
        return np.asarray(logsumexp(self._log_ease(), axis=1))

    def _log_scatter(self) -> Floats:
        """(rows, alphas): log of alpha's share and of how the wrong answers fell together under
        it (Chinese restaurant)."""
        opened = self._num_groups[:, None] * np.log(ALPHAS)
        seated = gammaln(ALPHAS) - gammaln(ALPHAS + self._num_wrong[:, None])
        return np.asarray(self._group_terms[:, None] + opened + seated + np.log(self.alphas))

    def _rate_posterior(self, arm: int) -> Floats:
        """(rows, rates): posterior of the rate of `arm` under each row's hypothesis."""
        ease = self._log_ease() - self._given_ease(arm)
        ease = np.exp(ease - ease.max(axis=1, keepdims=True))
        like = self._arm_likelihood(arm)
        rate = (ease @ self.rates.laws[arm]) * np.exp(like - like.max(axis=1, keepdims=True))
        return np.asarray(rate / rate.sum(axis=1, keepdims=True))

    # -- learning ----------------------------------------------------------------------------

    def _learn_rates(self, weight: Floats) -> None:
        ease = self._log_ease()
        ease = np.exp(ease - logsumexp(ease, axis=1, keepdims=True)) * weight[:, None]
        self._learn_trust(ease)
        prior = self.rates.prior(np.flatnonzero(self.trials.any(axis=0)))
        for arm in range(self.num_arms):
            has = self.trials[self._row_q, arm] > 0
            data = np.zeros(6)
            if has.any():
                like = self._arm_likelihood(arm)[has]
                given = self._given_ease(arm)[has]
                peak = like.max(axis=1, keepdims=True)
                share = (ease[has] * np.exp(peak - given)).T @ np.exp(like - peak)
                data = moment_sums(share * self.rates.laws[arm])
            self.rates.regress(arm, prior[arm] + data)
        self.rates.set_laws()

    def _learn_trust(self, ease: Floats) -> None:
        """Regression of ease on the hint, over questions with more than one attempt."""
        telling = (self.trials.sum(axis=1) > 1) | self.checked
        expected = np.bincount(self._row_q, ease @ EASES, self._size)
        both = (self._hint * expected)[telling].sum() + _TRUST_QUESTIONS * self.start.trust
        alone = (self._hint**2)[telling].sum() + _TRUST_QUESTIONS
        self.trust = float(np.clip(both / alone, 0.0, 0.95))

    def _learn_alphas(self, weight: Floats) -> None:
        telling = weight * (self._num_wrong > 1)  # one wrong answer does not show how they fall
        counts = telling @ self._alpha_posterior + _ALPHA_QUESTIONS * np.array(self.start.alphas)
        self.alphas = counts / counts.sum()


def _standard(hints: Sequence[float | None]) -> Floats:
    """(questions,): mean 0 and deviation 1 over those that have one, 0 where there is none."""
    values = np.array([np.nan if h is None else h for h in hints], dtype=np.float64)
    known = values[~np.isnan(values)]
    if len(known) < 2 or known.std() == 0:
        return np.zeros(len(values))
    return np.asarray(np.nan_to_num((values - known.mean()) / known.std()))


def _flat(parts: Iterable[Sequence[float]]) -> Floats:
    return np.array([x for part in parts for x in part], dtype=np.float64)


def _overtake(lead: Floats, share: Floats, count: int) -> Floats:
    """(rows, rates): P(lead + X - Y > 0), a tie counting half, where of `count` attempts X fall on
    the right answer (chance: rate) and Y on the rival (chance: (1 - rate) share)."""
    up = np.broadcast_to(RATES, (len(lead), len(RATES)))
    down = (1 - RATES) * share[:, None]
    if count > 4:
        mean = lead[:, None] + count * (up - down)
        variance = count * np.maximum(up + down - (up - down) ** 2, 1e-4)
        return np.asarray(ndtr(mean / np.sqrt(variance + 0.05)))
    total = np.zeros_like(down)
    for x in range(count + 1):
        for y in range(count + 1 - x):
            rest = count - x - y
            ways = np.exp(gammaln(count + 1) - gammaln([x + 1, y + 1, rest + 1]).sum())
            ahead = np.clip(2 * (lead + x - y) + 0.5, 0.0, 1.0)  # part of a vote counts in part
            total += ways * up**x * down**y * (1 - up - down) ** rest * ahead[:, None]
    return np.asarray(total)
