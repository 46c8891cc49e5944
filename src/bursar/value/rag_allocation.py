"""RAG allocation: how many documents, demonstrations and iterations a context budget should buy.

Paper: Zhenrui Yue, Honglei Zhuang, Aijun Bai, Kai Hui, Rolf Jagerman, Hansi Zeng, Zhen Qin, Dong
    Wang, Xuanhui Wang, Michael Bendersky, "Inference Scaling for Long-Context Retrieval Augmented
    Generation", 2024, arXiv:2410.04343; section 5, the computation allocation model.
Symbols: theta = (k, m, n) -> documents, shots, iterations; a, b, c -> slope, tied, offset;
    i -> informativeness; epsilon -> epsilon; P -> accuracy; L_max -> limit.
Differs: epsilon, which says how far the first document or demonstration is from none, is fitted
    too, one for each: at a fixed 0.01 the first demonstration is nearly all of the effect of
    demonstrations. Accuracy is not normalised by task; runs weigh by their error, and shares are
    drawn half a success towards 1/2.
Checked: tests/papers/test_rag_allocation.py: fitted on small budgets of a synthetic multi-hop
    retriever, its choice at 4 times the budget is within 2 % of the best of a grid search and
    better than spending on documents alone; it misleads where asking again finds the same
    documents, since it has no term for documents and iterations together.
Seed: 27
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from bursar.errors import BadInput, Infeasible
from bursar.value.base import Floats

EPSILONS = (0.01, 0.03, 0.1, 0.3, 1.0)
"""What may be added to counts before the logarithm, since a count may be 0."""


@dataclass(frozen=True, slots=True)
class Informativeness:
    """What the first document (`document`) and the first demonstration (`shot`) of a task add to
    the accuracy, measured once: P(1 document) - P(none), P(1 shot) - P(none)."""

    document: float
    shot: float


@dataclass(frozen=True, slots=True)
class RagAllocation:
    """logit P = (slope + tied x i)^T log(theta + epsilon) + offset; `slope`, `tied`, `epsilon` (3,)
    for documents, shots, iterations."""

    slope: Floats
    tied: Floats
    offset: float
    epsilon: Floats

    @classmethod
    def fit(
        cls,
        settings: ArrayLike,
        accuracy: ArrayLike,
        questions: ArrayLike,
        informativeness: Informativeness,
    ) -> Self:
        """Least squares on runs of one task: `settings` (runs, 3) with their `accuracy` (runs,)
        over so many `questions`. Raises `BadInput` unless there are as many runs as coefficients.

        `tied` carries the law over to a task of other informativeness. From the runs of one task
        it can't be told from `slope`: least squares takes the smallest that fit.
        """
        theta = _settings(settings)
        share, asked = np.broadcast_arrays(
            np.asarray(accuracy, dtype=float), np.asarray(questions, dtype=float)
        )
        if len(theta) < 4 or share.shape != (len(theta),) or np.any((share < 0) | (share > 1)):
            raise BadInput(
                f"a law of documents, shots and iterations needs 4 or more runs with accuracies "
                f"between 0 and 1, got {len(theta)} settings and accuracies {share}"
            )
        shrunk = (share * asked + 0.5) / (asked + 1)
        weight = np.sqrt(asked * shrunk * (1 - shrunk))  # 1 / the logit's standard error
        seen = logit(shrunk) * weight
        best, law = np.inf, None
        for pair in product(EPSILONS, repeat=2):
            epsilon = np.array([*pair, 0.0])
            columns = _columns(theta, informativeness, epsilon) * weight[:, None]
            found = np.linalg.lstsq(columns, seen, rcond=None)[0]
            misfit = float(np.sum((columns @ found - seen) ** 2))
            if misfit < best:
                best, law = misfit, cls(found[:3], found[3:6], float(found[6]), epsilon)
        assert law is not None
        return law

    def value(self, settings: ArrayLike, informativeness: Informativeness) -> Floats:
        """Predicted accuracy of each setting, (runs,)."""
        columns = _columns(_settings(settings), informativeness, self.epsilon)
        share: Floats = expit(columns @ np.concatenate([self.slope, self.tied, [self.offset]]))
        return share

    def choose(
        self,
        settings: ArrayLike,
        tokens: Callable[[Floats], Floats],
        limit: float,
        informativeness: Informativeness,
    ) -> tuple[int, int, int]:
        """The setting of the most predicted accuracy whose `tokens` (settings (runs, 3) -> (runs,),
        input tokens over all iterations) are within `limit`; the cheaper of equals.

        Raises `Infeasible` when none is.
        """
        theta = _settings(settings)
        cost = tokens(theta)
        afforded = theta[cost <= limit]
        if not len(afforded):
            raise Infeasible(
                f"no setting fits in {limit:g} tokens: the smallest needs {cost.min():g}"
            )
        value = self.value(afforded, informativeness)
        best = afforded[np.lexsort((cost[cost <= limit], -value))[0]]
        documents, shots, iterations = (int(n) for n in best)
        return documents, shots, iterations


def _columns(theta: Floats, known: Informativeness, epsilon: Floats) -> Floats:
    logs = np.log(theta + epsilon)
    tied = logs * np.array([known.document, known.shot, 0.0])
    columns: Floats = np.concatenate([logs, tied, np.ones((len(theta), 1))], axis=1)
    return columns


def _settings(settings: ArrayLike) -> Floats:
    theta = np.atleast_2d(np.asarray(settings, dtype=float))
    if theta.shape[1] != 3 or np.any(theta < 0) or np.any(theta[:, 2] < 1):
        raise BadInput(
            "a setting is (documents, shots, iterations), the first two 0 or more, the last 1 or "
            f"more, got {theta[:3].tolist()}"
        )
    return theta
