"""Several arms (prompts, models, strategies) on the same questions: who will be right next?

Every question has a latent ease z ~ N(0, 1) that all arms share; arm a answers it right with
probability p where logit p = mean_a + slope_a z + noise, noise ~ N(0, spread_a^2). So a failure
of one arm lowers the hopes of the others as much as the arms agree, and no more. All three
numbers per arm are learned from the outcomes seen so far (empirical Bayes): nothing is known
beforehand but a weak prior worth `prior_questions` questions.

The normal laws live on fixed grids (z, and logit p), so that a posterior is a product of small
matrices and each step of EM is a weighted linear regression in closed form.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, log_expit

from bursar.errors import BadInput
from bursar.value.base import Floats, Ints, check_counts

EASES = np.linspace(-3.5, 3.5, 29)
LOGITS = np.linspace(-9.0, 6.0, 46)
RATES = expit(LOGITS)
LOG_RIGHT, LOG_WRONG = log_expit(LOGITS), log_expit(-LOGITS)
_KINSHIP = 8.0  # how many times more another arm's law says of an untried arm than the weak prior
_MIN_SPREAD = float(LOGITS[1] - LOGITS[0])  # a narrower normal would fall between grid points


class ArmDifficulty:
    """Posterior of each question's success rate under each arm, shrunk to the task's own law.

    Parameters
    ----------
    num_questions, num_arms
        Questions and arms are named by their index.
    prior_mean, prior_slope, prior_spread
        The law of logit p before any outcome; wide, so that an untried arm is worth trying.
    prior_questions
        How many observed questions that prior counts as, for each arm.
    """

    def __init__(
        self,
        num_questions: int,
        num_arms: int = 1,
        *,
        prior_mean: float = -1.0,
        prior_slope: float = 1.5,
        prior_spread: float = 1.0,
        prior_questions: float = 2.0,
    ) -> None:
        if num_questions < 1 or num_arms < 1:
            raise BadInput(
                f"need at least one question and one arm, got {num_questions} and {num_arms}"
            )
        if not (prior_spread > 0 and prior_questions > 0):
            raise BadInput(
                "prior_spread and prior_questions must be above 0, "
                f"got {prior_spread} and {prior_questions}"
            )
        self.successes = np.zeros((num_questions, num_arms))
        self.trials = np.zeros((num_questions, num_arms))
        self.mean: Floats = np.full(num_arms, prior_mean)
        self.slope: Floats = np.full(num_arms, prior_slope)
        self.spread: Floats = np.full(num_arms, prior_spread)
        self.ease_weight: Floats = np.exp(-(EASES**2) / 2)
        self.ease_weight /= self.ease_weight.sum()
        self._weak_prior = self.moments()[:1]
        self._prior_questions = prior_questions
        self.set_laws()

    def start(self, mean: ArrayLike, slope: ArrayLike, spread: ArrayLike, questions: float) -> None:
        """Begin from laws learned elsewhere, one per arm, that count as `questions` questions."""
        self.mean, self.slope, self.spread = (
            np.array(x, dtype=float) for x in (mean, slope, spread)
        )
        self._weak_prior, self._prior_questions = self.moments(), questions
        self.set_laws()

    def update(
        self, question: ArrayLike, arm: ArrayLike, successes: ArrayLike, trials: ArrayLike
    ) -> None:
        """Add outcomes; all four broadcast together, repeated (question, arm) pairs add up."""
        right, tried = check_counts(successes, trials)
        where = (self._index(question, 0), self._index(arm, 1))
        np.add.at(self.successes, where, right)
        np.add.at(self.trials, where, tried)

    def success_next(self, question: ArrayLike, arm: int) -> Floats:
        """P(the next sample is right) for each question (indices, any shape (n,))."""
        return self._expect(question, arm, RATES)

    def success_within(self, question: ArrayLike, arm: int, n: ArrayLike) -> Floats:
        """P(at least one of the next `n` samples is right).

        Shape (questions,) for a number `n`, (questions, len(n)) for several.
        """
        counts = np.asarray(n, dtype=float)
        if np.any(counts < 0):
            raise BadInput(f"n must be zero or more, got {counts}")
        chance = -np.expm1(counts[..., None] * LOG_WRONG)
        return self._expect(question, arm, chance.T)

    def refit(self, steps: int = 12) -> None:
        """Learn each arm's law from all outcomes so far: `steps` of EM from the present law.

        An arm without outcomes keeps its law. Cost: questions with equal counts are one row.
        """
        counts = np.concatenate([self.successes, self.trials], axis=1)
        seen = counts[self.trials.sum(axis=1) > 0]
        if not len(seen):
            return
        rows, times = np.unique(seen, axis=0, return_counts=True)
        right, tried = np.hsplit(rows, 2)
        arms = np.flatnonzero(tried.sum(axis=0) > 0)
        likelihood = {int(a): _likelihood(right[:, a], tried[:, a]) for a in arms}
        for _ in range(steps):
            given_ease = {a: like @ self.laws[a].T for a, like in likelihood.items()}
            ease = self._ease(given_ease.values()) * times[:, None]
            prior = self.prior(arms)
            for a in range(self.trials.shape[1]):
                data = np.zeros(6)
                if a in likelihood:
                    has = tried[:, a] > 0  # an untried question says nothing new of this arm
                    share = (ease[has] / given_ease[a][has]).T @ likelihood[a][has]
                    data = moment_sums(share * self.laws[a])
                self.regress(a, prior[a] + data)
            self.set_laws()

    def _expect(self, question: ArrayLike, arm: int, of_rate: Floats) -> Floats:
        """E[of_rate(p_arm) | all outcomes]; `of_rate` on the grid of rates, (G,) or (G, n)."""
        rows = np.atleast_1d(self._index(question, 0))
        self._index(arm, 1)
        seen = [a for a in range(self.trials.shape[1]) if self.trials[rows, a].any()]
        likelihood = {
            a: _likelihood(self.successes[rows, a], self.trials[rows, a]) for a in {*seen, arm}
        }
        given_ease = {a: like @ self.laws[a].T for a, like in likelihood.items()}
        ease = self._ease(given_ease.values()) / given_ease[arm]
        expected: Floats = ((ease @ self.laws[arm]) * likelihood[arm]) @ of_rate
        return expected

    def _ease(self, given_ease: Iterable[Floats]) -> Floats:
        """P(z | outcomes), (rows, z)."""
        product = np.broadcast_to(self.ease_weight, next(iter(given_ease)).shape)
        for factor in given_ease:
            product = product * factor
            product = product / product.sum(axis=1, keepdims=True)
        return product

    def moments(self) -> Floats:
        """E[1, z, z^2, x, z x, x^2] under each arm's law, x = logit p; (arms, 6)."""
        one = np.ones_like(self.mean)
        second = self.mean**2 + self.slope**2 + self.spread**2
        return np.stack([one, 0 * one, one, self.mean, self.slope, second], axis=1)

    def prior(self, tried: Ints) -> Floats:
        """What `_prior_questions` imagined questions add to each arm's sums, (arms, 6).

        They follow the weak prior and the laws of the *other* tried arms: on a hard task an
        untried prompt is expected to find it hard too, or it would be explored at any price.
        """
        weight = np.zeros(len(self.mean))
        weight[tried] = _KINSHIP
        others = weight * (1 - np.eye(len(weight)))
        mixed = self._weak_prior + others @ self.moments()
        prior: Floats = self._prior_questions * mixed / (1 + others.sum(axis=1, keepdims=True))
        return prior

    def regress(self, arm: int, sums: Floats) -> None:
        """The law with these sums of (1, z, z^2, x, z x, x^2): regression of x on z."""
        self.mean[arm], self.slope[arm], self.spread[arm] = regression(sums)

    def set_laws(self) -> None:
        """P(logit p | z) of every arm, (arms, z, logit)."""
        self.laws: Floats = law_table(self.mean, self.slope, self.spread)

    def _index(self, index: ArrayLike, axis: int) -> Ints:
        found = np.asarray(index, dtype=np.int64)
        size = self.trials.shape[axis]
        if np.any((found < 0) | (found >= size)):
            what = ("question", "arm")[axis]
            raise BadInput(f"{what} must be an index from 0 to {size - 1}, got {found}")
        return found


def regression(sums: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean, slope and spread of x on z from sums (..., 6) of (1, z, z^2, x, z x, x^2)."""
    n, z, zz, x, zx, xx = np.moveaxis(sums, -1, 0)
    slope = (n * zx - z * x) / (n * zz - z * z)
    mean = (x - slope * z) / n
    rest = np.maximum((xx - mean * x - slope * zx) / n, _MIN_SPREAD**2)
    return mean, slope, np.sqrt(rest)


def law_table(mean: Floats, slope: Floats, spread: Floats) -> Floats:
    """(..., z, logit): P(logit p | z) on the grids, for laws of any shape (...)."""
    centre = mean[..., None] + slope[..., None] * EASES
    log_law = -0.5 * ((LOGITS - centre[..., None]) / spread[..., None, None]) ** 2
    law = np.exp(log_law - log_law.max(axis=-1, keepdims=True))
    table: Floats = law / law.sum(axis=-1, keepdims=True)
    return table


def moment_sums(weight: Floats) -> Floats:
    """Sums of (1, z, z^2, x, z x, x^2) over the grid with weights (z, logit)."""
    by_ease, by_logit = weight.sum(axis=1), weight.sum(axis=0)
    return np.array(
        [
            by_ease.sum(),
            by_ease @ EASES,
            by_ease @ EASES**2,
            by_logit @ LOGITS,
            EASES @ weight @ LOGITS,
            by_logit @ LOGITS**2,
        ]
    )


def _likelihood(successes: Floats, trials: Floats) -> Floats:
    """P(outcomes | rate) over the grid of rates, (rows, G), up to a factor per row."""
    log_like = successes[:, None] * LOG_RIGHT + (trials - successes)[:, None] * LOG_WRONG
    likelihood: Floats = np.exp(log_like - log_like.max(axis=1, keepdims=True))
    return likelihood
