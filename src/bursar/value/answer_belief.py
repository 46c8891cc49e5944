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

A question has a slot per hypothesis: each of its leading answers, and "none of those seen"
(`answer_evidence`). Everything is computed for all questions at once, and again only for those
that have new attempts, until the laws are learned anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bursar.value.answer_evidence import (
    ALPHAS,
    HYPOTHESES,
    TINY,
    Bools,
    Evidence,
    Rows,
    Scale,
    Votes,
    likelihood,
    through,
)
from bursar.value.arm_difficulty import (
    EASES,
    LOG_WRONG,
    RATES,
    ArmDifficulty,
    law_table,
    moment_sums,
    regression,
)
from bursar.value.base import Floats, Ints
from bursar.value.overtaking import overtake

_TYPICAL_ALPHAS = (0.03, 0.17, 0.6, 0.2)
_ALPHA_QUESTIONS = _TRUST_QUESTIONS = 20.0
"""How many questions the first guess at the shares of `ALPHAS` counts as."""
_KIND_QUESTIONS = 4.0
"""How many questions the task's law counts as in the law of one kind of its questions."""
_NEGLIGIBLE = 1e-9
_DEAD = -1e9
"""Stands for log 0 where differences are taken."""


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

    `checked`: a checker sees every attempt, so one right attempt suffices. `kinds` (questions,)
    numbers kinds of questions, each with laws of its own, drawn to those of the task.
    `observe` takes in what is known now, `refit` learns the laws, `p_right`, `leader` and `after`
    answer. Only what was observed anew is thought through again, unless the laws have changed.
    """

    def __init__(
        self,
        num_questions: int,
        start: AnswerLaw,
        *,
        checked: bool = False,
        kinds: Ints | None = None,
    ) -> None:
        self.num_arms, self.checked, self.start = len(start.mean), checked, start
        self._kind = np.zeros(num_questions, dtype=np.int64) if kinds is None else kinds
        self._num_kinds = int(self._kind.max(initial=0)) + 1
        self.rates = ArmDifficulty(num_questions, self.num_arms)
        self.rates.start(start.mean, start.slope, start.spread, start.questions)
        self._laws = np.repeat(self.rates.laws[None], self._num_kinds, axis=0)
        self.alphas, self.trust = np.array(start.alphas), start.trust
        self._evidence = Evidence.none(num_questions, self.num_arms, 1 if checked else HYPOTHESES)
        self._hints = np.full(num_questions, np.nan)
        self._scale = Scale()
        slots = self._evidence.answer.shape
        self.log_posterior, self._lead, self._rival_share = (np.zeros(slots) for _ in range(3))
        self.p_right, self.leader = np.zeros(slots[0]), np.full(slots[0], -1)
        self._leads = np.zeros(slots, dtype=np.bool_)
        self._futures: dict[tuple[int, tuple[int, ...]], tuple[Floats, Bools]] = {}
        self._infer(np.arange(num_questions))

    @property
    def trials(self) -> Floats:
        """(questions, arms) attempts observed."""
        return self._evidence.trials

    def law(self) -> AnswerLaw:
        """What has been learned so far."""
        mean, slope, spread = (
            tuple(map(float, x)) for x in (self.rates.mean, self.rates.slope, self.rates.spread)
        )
        seen = float((self.trials.sum(axis=1) > 0).sum())
        shares = tuple(map(float, self.alphas))
        seen += self.start.questions
        return AnswerLaw(mean, slope, spread, shares, self.trust, seen)

    def observe(self, votes: Sequence[Votes], which: Ints | None = None) -> None:
        """What is known now, one `Votes` per question, or per question of `which`."""
        rows = np.arange(len(self._hints)) if which is None else which
        self._evidence.lay(rows, votes, self.checked)
        self._hints[rows] = [np.nan if v.hint is None else v.hint for v in votes]
        if which is None:
            self._scale = Scale.of(self._hints)
        self._infer(rows)

    def refit(self, steps: int = 4) -> float:
        """Learn the laws from everything observed: `steps` of EM from the present laws. By how
        much they moved P(right) of one attempt, at most."""
        if not self.trials.any():
            return 0.0
        before = self._chances()
        self._scale = Scale.of(self._hints)
        hint = self._scale.standard(self._hints)
        rows = Rows.of(self._evidence, self._kind)
        for _ in range(steps):
            log_ease = self._prior(hint)[rows.question] + rows.given_ease(self._laws)
            marginal, ease = _normalised(log_ease)
            scatter = rows.scatter + np.log(self.alphas)
            log_scatter, alpha = _normalised(scatter)
            weight = rows.weights(marginal + log_scatter)
            ease *= weight[:, None]
            self._learn_trust(rows, ease, hint)
            self._learn_rates(rows, ease)
            self._learn_alphas(weight * (rows.num_wrong > 1), alpha)
        self._infer(np.arange(len(hint)))
        return float(np.abs(self._chances() - before).max())

    def after(self, arm: int, counts: Sequence[int]) -> Floats:
        """(questions, len(counts)): P(right) after that many more attempts by `arm`, at least now.

        Checked, one right attempt suffices. Else the right answer must come to lead, see
        `overtaking`.
        """
        key = arm, tuple(counts)
        if key not in self._futures:
            size = len(self.p_right)
            self._futures[key] = np.zeros((size, len(counts))), np.ones(size, dtype=np.bool_)
        known, stale = self._futures[key]
        if len(rows := np.flatnonzero(stale)):
            known[rows] = self._after(rows, arm, key[1])
            stale[:] = False
        return known.copy()

    def _after(self, rows: Ints, arm: int, counts: tuple[int, ...]) -> Floats:
        belief = np.exp(self.log_posterior[rows])
        at = np.nonzero(belief > _NEGLIGIBLE)
        question, slot = rows[at[0]], at[1]
        rate = self._rate_posterior(question, slot, arm)
        if self.checked:
            found = rate @ -np.expm1(np.outer(LOG_WRONG, counts))
            wins = np.maximum(self._leads[question, slot][:, None], found)
        else:
            lead = self._lead[question, slot] / self._vote_weight(arm)[self._kind[question]]
            wins = overtake(rate, lead, self._rival_share[question, slot], counts)
        wins *= belief[at][:, None]
        starts = np.flatnonzero(np.diff(at[0], prepend=-1))
        future = np.add.reduceat(wins, starts, axis=0)
        return np.maximum.accumulate(np.column_stack([self.p_right[rows], future]), axis=1)[:, 1:]

    def _infer(self, rows: Ints) -> None:
        """Posterior over the hypotheses of each question; who leads, and by how much."""
        for _, stale in self._futures.values():
            stale[rows] = True
        seen = self._evidence.take(rows)
        hint = self._scale.standard(self._hints[rows])
        ease = self._prior(hint)[:, None] + sum(
            self._given_ease(seen, arm, self._kind[rows]) for arm in range(self.num_arms)
        )
        scatter = seen.log_scatter() + np.log(self.alphas)
        log_scatter, alpha = _normalised(scatter)
        like = np.where(seen.live, _normalised(ease)[0] + log_scatter, _DEAD)
        top = like.max(axis=1, keepdims=True)
        posterior = like - top - np.log(np.exp(like - top).sum(axis=1, keepdims=True))
        self.log_posterior[rows] = posterior
        named = seen.answer >= 0
        ranked = np.where(named, posterior, _DEAD)
        first = ranked.argmax(axis=1)
        each = np.arange(len(rows))
        has = named[each, first]
        self.leader[rows] = np.where(has, seen.answer[each, first], -1)
        best = ranked[each, first]
        self.p_right[rows] = np.where(has, np.exp(best), 0.0)
        leads = np.zeros_like(named)
        leads[each, first] = has
        self._leads[rows] = leads
        if self.checked:
            return
        second = np.where(leads, _DEAD, ranked).max(axis=1)
        rival = np.where(leads, second[:, None], best[:, None])
        # one particular answer not seen yet is one of many: about alpha + 1 of them
        own = np.where(named, posterior, posterior - self._newcomer)
        free = np.maximum(own, 0.0)  # no rival: any attempt takes the lead
        lead = np.where(rival > _DEAD, own - rival, free)
        self._lead[rows] = np.clip(lead, -60.0, 60.0)
        repeat = 1 / (seen.num_wrong[..., None] + ALPHAS)
        self._rival_share[rows] = seen.top_wrong * (alpha * repeat).sum(axis=-1)

    def chance(self, arm: int) -> Floats:
        """(kinds,) P(right) of one attempt by `arm` at a question of which nothing is known."""
        return self._chances()[:, arm]

    def _chances(self) -> Floats:
        """(kinds, arms)"""
        return np.asarray(self.rates.ease_weight @ self._laws @ RATES)

    @property
    def _newcomer(self) -> float:
        return float(np.log(self._usual_alpha + 1.0))

    @property
    def _usual_alpha(self) -> float:
        return float(np.exp(self.alphas @ np.log(ALPHAS)))

    def _vote_weight(self, arm: int) -> Floats:
        """(kinds,) log-odds that one more agreeing attempt adds, typically:
        p (1 + alpha) / (1 - p)."""
        p = np.clip(self.chance(arm), 0.05, 0.95)
        return np.clip(np.log(p * (1 + self._usual_alpha) / (1 - p)), 0.5, 6.0)

    def _prior(self, hint: Floats) -> Floats:
        """(questions, eases): log P(ease | hint)."""
        spread = 1 - self.trust**2 * (hint != 0)
        square = (EASES - (self.trust * hint)[:, None]) ** 2
        log_prior = square * (-0.5 / spread)[:, None]
        return np.asarray(log_prior - _normalised(log_prior)[0][:, None])

    def _given_ease(self, seen: Evidence, arm: int, kind: Ints) -> Floats | float:
        """(questions, slots, eases): log P(outcomes by `arm` | ease); 0 where it was not asked."""
        if not seen.trials[:, arm].any():
            return 0.0
        like, peak = likelihood(seen.right[..., arm], seen.trials[:, None, arm])
        given = through(like, self._laws[:, arm].transpose(0, 2, 1), kind)
        return np.asarray(np.log(given + TINY) + peak[..., None])

    def _rate_posterior(self, question: Ints, slot: Ints, arm: int) -> Floats:
        """(rows, rates): posterior of the rate of `arm` under each row's hypothesis."""
        seen, kind = self._evidence, self._kind[question]
        log_ease = self._prior(self._scale.standard(self._hints[question]))
        for other in range(self.num_arms):
            if other != arm and (tried := seen.trials[question, other]).any():
                like, peak = likelihood(seen.right[question, slot, other], tried)
                given = through(like, self._laws[:, other].transpose(0, 2, 1), kind)
                log_ease += np.log(given + TINY) + peak[:, None]
        like, _ = likelihood(seen.right[question, slot, arm], seen.trials[question, arm])
        ease = np.exp(log_ease - log_ease.max(axis=1, keepdims=True))
        rate = through(ease, self._laws[:, arm], kind) * like
        return np.asarray(rate / rate.sum(axis=1, keepdims=True))

    # -- learning ----------------------------------------------------------------------------

    def _learn_rates(self, rows: Rows, ease: Floats) -> None:
        prior = self.rates.prior(np.flatnonzero(self.trials.any(axis=0)))
        sums = np.zeros((self._num_kinds, self.num_arms, 6))
        for arm, pairs in enumerate(rows.pairs):
            if not len(pairs.start):
                continue
            share = rows.share(arm, ease, self._num_kinds)
            sums[:, arm] = [moment_sums(w) for w in share * self._laws[:, arm]]
        for arm, data in enumerate(sums.sum(axis=0)):
            self.rates.regress(arm, prior[arm] + data)
        self.rates.set_laws()
        if self._num_kinds == 1:
            self._laws = self.rates.laws[None]
        else:  # a kind's law begins as the task's
            sums += _KIND_QUESTIONS * self.rates.moments()
            self._laws = law_table(*regression(sums))

    def _learn_trust(self, rows: Rows, ease: Floats, hint: Floats) -> None:
        """Regression of ease on the hint, over questions with more than one attempt."""
        telling = (self.trials.sum(axis=1) > 1) | self.checked
        expected = np.bincount(rows.question, ease @ EASES, len(hint))
        both = (hint * expected)[telling].sum() + _TRUST_QUESTIONS * self.start.trust
        alone = (hint**2)[telling].sum() + _TRUST_QUESTIONS
        self.trust = float(np.clip(both / alone, 0.0, 0.95))

    def _learn_alphas(self, telling: Floats, alpha: Floats) -> None:
        # `telling`: one wrong answer does not show how they fall
        counts = telling @ alpha + _ALPHA_QUESTIONS * np.array(self.start.alphas)
        self.alphas = counts / counts.sum()


def _normalised(logs: Floats) -> tuple[Floats, Floats]:
    """log sum exp over the last axis, and the shares in it."""
    top = logs.max(axis=-1, keepdims=True)
    shares = np.exp(logs - top)
    total = shares.sum(axis=-1, keepdims=True)
    shares /= total
    return (top + np.log(total))[..., 0], shares
