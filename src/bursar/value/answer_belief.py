"""Which answer is right, and what would more attempts buy? Without seeing the true answer.

Every question has one right answer; an attempt by arm a finds it with probability p, whose law
over questions and arms is `ArmDifficulty`'s. A wrong attempt falls on one of the wrong answers by
a Chinese-restaurant law: on an earlier one with weight of its count, on a new one with weight
alpha. So attempts that agree are evidence, more so where wrong answers scatter (large alpha), and
all of it (the laws of p, alpha, what a log-probability says) is learned from the attempts
themselves by expectation-maximisation over the hypothesis "this answer is right". A checked
attempt simply settles its hypothesis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp, ndtr

from bursar.value.arm_difficulty import _LOG_RIGHT, _LOG_WRONG, _RATE, ArmDifficulty, _sums

Floats = NDArray[np.float64]
HYPOTHESES = 3
"""How many leading answers may be the right one, besides "none that was seen"."""
_ALPHAS = np.geomspace(0.25, 64.0, 17)


@dataclass(frozen=True, slots=True)
class Votes:
    """The attempts on one question: per attempt its arm, its answer's index (-1: no answer, or one
    that a checker refused), and its evidence. `right` is the index of an answer that a checker
    accepted, `checked` whether a checker sees every attempt."""

    arms: Sequence[int]
    answers: Sequence[int]
    evidence: Sequence[float]
    right: int | None = None
    checked: bool = False


class AnswerBelief:
    """Beliefs about all questions of one task, learned together.

    `num_arms` arms; `observe(votes)` replaces what is known, `refit` learns the laws, `now` and
    `after` answer. Evidence is one number per attempt (NaN: none), larger meaning likelier right,
    as a log-probability; what it is worth is learned.
    """

    def __init__(self, num_questions: int, num_arms: int) -> None:
        self.law = ArmDifficulty(num_questions, num_arms, prior_mean=0.0)
        self.alpha = 8.0
        self.evidence_law: tuple[float, float, float, float] | None = None
        self.num_arms = num_arms
        self.votes: list[Votes] = [Votes((), (), ())] * num_questions
        self._build()

    def observe(self, votes: Sequence[Votes]) -> None:
        """What is known now, one `Votes` per question."""
        self.votes = list(votes)
        self._build()

    def refit(self, steps: int = 6) -> None:
        """Learn the laws from everything observed: `steps` of EM."""
        tried = self.trials[self.question].sum(axis=1) > 0
        if not tried.any():
            return
        for _ in range(steps):
            weight = np.exp(self.log_posterior)
            self._learn_rates(weight, tried)
            self._learn_alpha(weight, tried)
            self._learn_evidence(weight)
            self._infer()

    @property
    def p_right(self) -> Floats:
        """(questions,) probability that the leading answer is right."""
        return self._lead_p

    @property
    def leader(self) -> NDArray[np.int64]:
        """(questions,) index of the likeliest answer, -1 where there is none."""
        return self._leader

    def after(self, arm: int, ms: Sequence[int]) -> Floats:
        """(questions, len(ms)) expected probability of being right after m more attempts by `arm`.

        Where attempts are checked, one right attempt suffices. Elsewhere the right answer must
        come to lead: given each hypothesis and its rate p, the lead over the strongest rival is a
        walk of +1 with probability p and -1 with (1 - p) rival's share, exactly for m <= 4 and by
        a normal law beyond. With m = 0 it is `p_right`.
        """
        rate = self._rate_posterior(arm)  # (rows, G)
        p_row = np.exp(self.log_posterior)
        checked = np.array([v.checked for v in self.votes])[self.question]
        now = np.zeros(len(p_row))
        now[self._leader_row[self._leader_row >= 0]] = 1.0
        vote = self._vote_weight(arm)
        lead = self._lead / vote
        out = np.empty((len(self.votes), len(ms)))
        for i, m in enumerate(ms):
            voted = np.empty(len(p_row))
            found = (rate * -np.expm1(m * _LOG_WRONG)).sum(axis=1)
            voted = np.maximum(now, found)
            loose = ~checked
            if loose.any() and m > 0:
                chance = _overtake(lead[loose], _RATE, self._rival_share[loose], m)
                voted[loose] = (rate[loose] * chance).sum(axis=1)
            elif m == 0:
                voted = now
            out[:, i] = np.bincount(self.question, p_row * voted, len(self.votes))
        return out

    # -- inference ---------------------------------------------------------------------------

    def _build(self) -> None:
        """Rows of hypotheses: for each question its leading answers, and none of those seen."""
        self.trials = np.zeros((len(self.votes), self.num_arms))
        question, answer, right, wrong_groups = [], [], [], []
        for q, v in enumerate(self.votes):
            arms, answers = np.asarray(v.arms, int), np.asarray(v.answers, int)
            np.add.at(self.trials[q], arms, 1.0)
            counts = np.bincount(answers[answers >= 0]) if (answers >= 0).any() else np.zeros(0, int)
            if v.right is not None:
                hypotheses = [v.right]
            elif v.checked:
                hypotheses = [-1]
            else:
                hypotheses = [int(a) for a in np.argsort(-counts, kind="stable")[:HYPOTHESES]]
                hypotheses = [a for a in hypotheses if counts[a] > 0] + [-1]
            for h in hypotheses:
                question.append(q)
                answer.append(h)
                mine = np.zeros(self.num_arms)
                if h >= 0:
                    np.add.at(mine, arms[answers == h], 1.0)
                right.append(mine)
                others = np.delete(counts, h) if h >= 0 else counts
                wrong_groups.append(others[others > 0])
        self.question = np.array(question, dtype=np.int64)
        self.answer = np.array(answer, dtype=np.int64)
        self.right = np.array(right).reshape(len(question), self.num_arms)
        self._wrong = wrong_groups
        self._num_wrong = np.array([g.sum() for g in wrong_groups], dtype=float)
        self._num_groups = np.array([len(g) for g in wrong_groups], dtype=float)
        self._group_terms = np.array([gammaln(g).sum() for g in wrong_groups], dtype=float)
        self._top_wrong = np.array([g.max() if len(g) else 0 for g in wrong_groups], dtype=float)
        self._infer()

    def _infer(self) -> None:
        """Posterior over the hypotheses of each question, and who leads."""
        like = self._log_marginal() + self._log_scatter(self.alpha) + self._log_evidence()
        top = np.full(len(self.votes), -np.inf)
        np.maximum.at(top, self.question, like)
        total = np.bincount(self.question, np.exp(like - top[self.question]), len(self.votes))
        self.log_posterior = like - top[self.question] - np.log(total)[self.question]
        rows = np.arange(len(like))
        named = self.answer >= 0
        self._leader_row = np.full(len(self.votes), -1)
        self._lead_p = np.zeros(len(self.votes))
        order = rows[named][np.argsort(self.log_posterior[named], kind="stable")]
        self._leader_row[self.question[order]] = order  # the last written is the likeliest
        has = self._leader_row >= 0
        self._lead_p[has] = np.exp(self.log_posterior[self._leader_row[has]])
        self._leader = np.where(has, self.answer[self._leader_row], -1)
        self._leads()

    def _leads(self) -> None:
        """For each hypothesis: its log-odds over its strongest rival, and that rival's share."""
        best = np.full(len(self.votes), -np.inf)
        second = np.full(len(self.votes), -np.inf)
        for row in np.flatnonzero(self.answer >= 0):
            q, x = self.question[row], self.log_posterior[row]
            if x > best[q]:
                best[q], second[q] = x, best[q]
            elif x > second[q]:
                second[q] = x
        own = np.where(self.answer >= 0, self.log_posterior, -np.inf)
        is_best = np.arange(len(own)) == self._leader_row[self.question]
        rival = np.where(is_best, second[self.question], best[self.question])
        # an answer not seen yet starts where one vote less than none would put it
        lone = np.where(self.answer >= 0, own, self.log_posterior - self._newcomer())
        lead = np.where(np.isfinite(rival), lone - rival, np.maximum(lone, 0.0))
        self._lead = np.clip(lead, -60.0, 60.0)
        self._rival_share = np.maximum(self._top_wrong, 0.0) / (self._num_wrong + self.alpha)

    def _newcomer(self) -> Floats:
        """How far one particular unseen answer lies below "none of those seen": it is one of many."""
        return np.full(len(self.question), np.log(self.alpha + 1.0))

    def _vote_weight(self, arm: int) -> float:
        """Log-odds that one more agreeing attempt adds, typically: p (1 + alpha) / (1 - p)."""
        p = float(np.clip(self._mean_rate(arm), 0.05, 0.95))
        return float(np.clip(np.log(p * (1 + self.alpha) / (1 - p)), 0.5, 6.0))

    def _mean_rate(self, arm: int) -> float:
        return float(self.law.ease_weight @ self.law._laws[arm] @ _RATE)

    def _arm_likelihood(self, arm: int) -> Floats:
        """(rows, G) log P(outcomes by arm | rate) under each row's hypothesis."""
        right = self.right[:, arm]
        wrong = self.trials[self.question, arm] - right
        return right[:, None] * _LOG_RIGHT + wrong[:, None] * _LOG_WRONG

    def _given_ease(self) -> list[Floats]:
        """Per arm (rows, z): log P(outcomes by arm | ease)."""
        out = []
        for arm in range(self.num_arms):
            if not self.trials[:, arm].any():
                out.append(np.zeros((len(self.question), len(self.law.ease_weight))))
                continue
            like = self._arm_likelihood(arm)
            peak = like.max(axis=1, keepdims=True)
            out.append(np.log(np.exp(like - peak) @ self.law._laws[arm].T + 1e-300) + peak)
        return out

    def _log_marginal(self) -> Floats:
        ease = np.log(self.law.ease_weight) + sum(self._given_ease())
        return np.asarray(logsumexp(ease, axis=1))

    def _rate_posterior(self, arm: int) -> Floats:
        """(rows, G) posterior of the rate of `arm` under each row's hypothesis."""
        given = self._given_ease()
        ease = np.log(self.law.ease_weight) + sum(given) - given[arm]
        ease = np.exp(ease - ease.max(axis=1, keepdims=True))
        like = self._arm_likelihood(arm)
        rate = (ease @ self.law._laws[arm]) * np.exp(like - like.max(axis=1, keepdims=True))
        return np.asarray(rate / rate.sum(axis=1, keepdims=True))

    def _log_scatter(self, alpha: float) -> Floats:
        """Log-probability of how the wrong answers fell together (Chinese restaurant)."""
        return np.asarray(
            self._group_terms
            + self._num_groups * np.log(alpha)
            + gammaln(alpha)
            - gammaln(alpha + self._num_wrong)
        )

    def _log_evidence(self) -> Floats:
        """Summed log likelihood ratios of the attempts that a hypothesis calls right."""
        out = np.zeros(len(self.question))
        if self.evidence_law is None:
            return out
        for row, (q, h) in enumerate(zip(self.question, self.answer, strict=True)):
            v = self.votes[q]
            if h >= 0 and not v.checked:
                mine = [e for e, a in zip(v.evidence, v.answers, strict=True) if a == h]
                out[row] = self._ratio(np.array(mine)).sum()
        return out

    def _ratio(self, evidence: Floats) -> Floats:
        """Log of P(evidence | right) / P(evidence | wrong), bounded; 0 where there is none."""
        assert self.evidence_law is not None
        mean_r, sd_r, mean_w, sd_w = self.evidence_law
        z_r, z_w = (evidence - mean_r) / sd_r, (evidence - mean_w) / sd_w
        ratio = np.clip(0.5 * (z_w**2 - z_r**2) + np.log(sd_w / sd_r), -3.0, 3.0)
        return np.where(np.isnan(evidence), 0.0, ratio)

    # -- learning ----------------------------------------------------------------------------

    def _learn_rates(self, weight: Floats, tried: NDArray[np.bool_]) -> None:
        given = self._given_ease()
        ease = np.log(self.law.ease_weight) + sum(given)
        ease = np.exp(ease - logsumexp(ease, axis=1, keepdims=True))
        prior = self.law._prior(np.flatnonzero(self.trials.any(axis=0)))
        for arm in range(self.num_arms):
            has = (self.trials[self.question, arm] > 0) & tried
            data = np.zeros(6)
            if has.any():
                like = self._arm_likelihood(arm)[has]
                peak = like.max(axis=1, keepdims=True)
                norm = np.exp(given[arm][has] - peak)
                share = (weight[has, None] * ease[has] / norm).T @ np.exp(like - peak)
                data = _sums(share * self.law._laws[arm])
            self.law._regress(arm, prior[arm] + data)
        self.law._set_laws()

    def _learn_alpha(self, weight: Floats, tried: NDArray[np.bool_]) -> None:
        fit = [float(weight[tried] @ self._log_scatter(a)[tried]) for a in _ALPHAS]
        prior = -0.5 * (np.log(_ALPHAS / 8.0) / 0.4) ** 2
        self.alpha = float(_ALPHAS[int(np.argmax(np.array(fit) + prior))])

    def _learn_evidence(self, weight: Floats) -> None:
        """Two normal laws of the evidence, of right and of wrong attempts, softly labelled."""
        belief: list[dict[int, float]] = [{} for _ in self.votes]
        for row, (q, h) in enumerate(zip(self.question, self.answer, strict=True)):
            if h >= 0:
                belief[q][int(h)] = float(weight[row])
        value, p = [], []
        for v, b in zip(self.votes, belief, strict=True):
            if len(v.answers) < 2 and not v.checked:
                continue  # a lone attempt's label would only echo the present law
            for e, a in zip(v.evidence, v.answers, strict=True):
                if not np.isnan(e):
                    value.append(e)
                    p.append(b.get(a, 0.0))
        x, r = np.array(value), np.array(p)
        if len(x) < 30 or r.sum() < 5 or (1 - r).sum() < 5:
            return
        mean_r, mean_w = (r @ x) / r.sum(), ((1 - r) @ x) / (1 - r).sum()
        sd = float(np.std(x)) + 1e-6
        sd_r = np.sqrt((r @ (x - mean_r) ** 2 + sd**2) / (r.sum() + 1)) + 0.05 * sd
        sd_w = np.sqrt(((1 - r) @ (x - mean_w) ** 2 + sd**2) / ((1 - r).sum() + 1)) + 0.05 * sd
        if mean_r > mean_w:
            self.evidence_law = (float(mean_r), float(sd_r), float(mean_w), float(sd_w))


def _overtake(lead: Floats, rate: Floats, share: Floats, m: int) -> Floats:
    """(rows, G): P(lead + X - Y > 0), a tie counting half; X, Y counts of m trials each with
    probability rate, (1 - rate) share."""
    up = np.broadcast_to(rate, (len(lead), len(rate)))
    down = (1 - rate) * share[:, None]
    if m > 4:
        mean = lead[:, None] + m * (up - down)
        var = m * np.maximum(up + down - (up - down) ** 2, 1e-4)
        return np.asarray(ndtr(mean / np.sqrt(var + 0.05)))
    stay = 1 - up - down
    total = np.zeros_like(up)
    for x in range(m + 1):
        for y in range(m + 1 - x):
            ways = np.exp(gammaln(m + 1) - gammaln(x + 1) - gammaln(y + 1) - gammaln(m - x - y + 1))
            end = lead[:, None] + (x - y)
            win = np.clip(end / 0.5 + 0.5, 0.0, 1.0)  # a fraction of a vote counts as a fraction
            total += ways * up**x * down**y * stay ** (m - x - y) * win
    return total


