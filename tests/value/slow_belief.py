"""`AnswerBelief` as its formulas say it, one question, hypothesis and attempt at a time."""

from collections import Counter
from math import comb, lgamma

import numpy as np
from scipy.special import logsumexp, ndtr

from bursar.value.answer_belief import AnswerBelief
from bursar.value.answer_evidence import ALPHAS, Votes
from bursar.value.arm_difficulty import EASES, LOG_RIGHT, LOG_WRONG, RATES


class SlowBelief:
    """What is believed of one question under the laws of `fast`, whose hint is `hint` deviations
    from the mean."""

    def __init__(self, fast: AnswerBelief, votes: Votes, hint: float) -> None:
        self.fast, self.votes, self.hint = fast, votes, hint
        counts = Counter(a for a in votes.answers if a >= 0)
        ranked = sorted(counts, key=lambda a: (-counts[a], a))[:3]
        self.hypotheses = [votes.right] if votes.right is not None else [*ranked, -1]
        if fast.checked and votes.right is None:
            self.hypotheses = [-1]
        like = np.array(
            [logsumexp(self._ease(h)) + logsumexp(self._scatter(h)) for h in self.hypotheses]
        )
        self.posterior = np.exp(like - logsumexp(like))
        named = [(p, -i) for i, p in enumerate(self.posterior) if self.hypotheses[i] >= 0]
        self.lead = -max(named)[1] if named else -1
        self.p_right = max(named)[0] if named else 0.0

    def after(self, arm: int, counts: list[int]) -> list[float]:
        """P(right) after each number of further attempts."""
        out = [self.p_right]
        for count in counts:
            total = 0.0
            for i, h in enumerate(self.hypotheses):
                rate = self._rate(h, arm)
                if self.fast.checked:
                    found = float(rate @ (1 - (1 - RATES) ** count))
                    total += self.posterior[i] * (1.0 if i == self.lead else found)
                else:
                    total += self.posterior[i] * float(rate @ self._overtakes(i, arm, count))
            out.append(max(out[-1], total))
        return out[1:]

    def _counts(self, h: int, arm: int) -> tuple[int, int]:
        mine = [x for a, x in zip(self.votes.arms, self.votes.answers, strict=True) if a == arm]
        right = sum(x == h for x in mine) if h >= 0 else 0
        return right, len(mine) - right

    def _given(self, h: int, arm: int) -> np.ndarray:
        right, wrong = self._counts(h, arm)
        return np.log(self.fast.rates.laws[arm] @ np.exp(right * LOG_RIGHT + wrong * LOG_WRONG))

    def _ease(self, h: int, leave_out: int = -1) -> np.ndarray:
        trust = self.fast.trust if self.hint else 0.0
        prior = -0.5 * (EASES - trust * self.hint) ** 2 / (1 - trust**2)
        prior -= logsumexp(prior)
        arms = [a for a in range(self.fast.num_arms) if a != leave_out]
        return prior + sum((self._given(h, a) for a in arms), np.zeros(len(EASES)))

    def _wrong(self, h: int) -> Counter[int]:
        return Counter(a for a in self.votes.answers if a >= 0 and a != h)

    def _scatter(self, h: int) -> np.ndarray:
        wrong = self._wrong(h)
        n = sum(wrong.values())
        each = sum(lgamma(size) for size in wrong.values())
        seated = [lgamma(a) - lgamma(a + n) + len(wrong) * np.log(a) for a in ALPHAS]
        return each + np.array(seated) + np.log(self.fast.alphas)

    def _rate(self, h: int, arm: int) -> np.ndarray:
        right, wrong = self._counts(h, arm)
        ease = self._ease(h, leave_out=arm)
        ease = np.exp(ease - ease.max())
        rate = (ease @ self.fast.rates.laws[arm]) * np.exp(right * LOG_RIGHT + wrong * LOG_WRONG)
        return rate / rate.sum()

    def _overtakes(self, i: int, arm: int, count: int) -> np.ndarray:
        usual = float(np.exp(self.fast.alphas @ np.log(ALPHAS)))
        log = np.log(self.posterior)
        named = [j for j, h in enumerate(self.hypotheses) if h >= 0]
        rivals = [log[j] for j in named if j != i]
        own = log[i] if self.hypotheses[i] >= 0 else log[i] - np.log(usual + 1)
        if i != self.lead and named:
            rivals = [log[self.lead]]
        lead = own - max(rivals) if rivals else max(own, 0.0)
        rates = self.fast.rates
        p = float(np.clip(rates.ease_weight @ rates.laws[arm] @ RATES, 0.05, 0.95))
        lead = np.clip(lead, -60, 60) / np.clip(np.log(p * (1 + usual) / (1 - p)), 0.5, 6.0)
        wrong = self._wrong(self.hypotheses[i])
        scatter = self._scatter(self.hypotheses[i])
        alpha = np.exp(scatter - logsumexp(scatter))
        top, n = max(wrong.values(), default=0), sum(wrong.values())
        share = float(top * (alpha / (n + ALPHAS)).sum())
        up, down = RATES, (1 - RATES) * share
        if count > 4:
            variance = count * np.maximum(up + down - (up - down) ** 2, 1e-4)
            return ndtr((lead + count * (up - down)) / np.sqrt(variance + 0.05))
        total = np.zeros(len(RATES))
        for x in range(count + 1):
            for y in range(count - x + 1):
                ways = comb(count, x) * comb(count - x, y)
                ahead = np.clip(2 * (lead + x - y) + 0.5, 0.0, 1.0)
                total += ways * up**x * down**y * (1 - up - down) ** (count - x - y) * ahead
        return total
