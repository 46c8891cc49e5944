"""DynaICL: as many demonstrations for each input as it needs, under one token budget for all.

Paper: Wangchunshu Zhou, Yuchen Eleanor Jiang, Ryan Cotterell, Mrinmaya Sachan, "Efficient Prompting
    via Dynamic In-Context Learning", 2023, arXiv:2305.11170; the meta controller, and its two
    settings of a limited budget and a demanded accuracy.
Symbols: C(x) -> MetaController.p_right; k -> one of `counts`; N, the mean number of demonstrations
    allowed -> budget_tokens.
Differs: the controller is a logistic model per count on the input's pieces, there a fine-tuned T5;
    the budget is divided by marginal value (`allocate`), there by scaling the predicted numbers.
Checked: tests/papers/test_dynaicl.py: with a small trained in-context learner, the held-out
    accuracy of equal demonstrations for all with at least 30 % fewer demonstration tokens; beats
    equal and random allocation at equal tokens; with inputs dealt out anew the gain is gone.
Seed: 71
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from bursar.allocate import Options, allocate
from bursar.backends.base import Completion, Request
from bursar.errors import BadInput
from bursar.plan import Plan
from bursar.reason.purse import Call
from bursar.reason.workbench import Workbench
from bursar.usage import Usage
from bursar.workload.hidden_rules import Demonstrated

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class MetaController:
    """P(right | input, number of demonstrations), learnt from inputs tried with every number.

    `vocabulary` maps a piece of an input to its column; `weights` (counts, columns + 1).
    """

    counts: tuple[int, ...]
    vocabulary: dict[str, int]
    weights: Floats

    @classmethod
    def fit(
        cls,
        inputs: Sequence[Sequence[str]],
        right: NDArray[np.bool_],
        counts: Sequence[int],
        *,
        ridge: float = 1.0,
    ) -> MetaController:
        """From inputs in pieces and `right` (inputs, counts): was the answer right with so many?

        Penalised maximum likelihood, one logistic model per count.
        """
        if right.shape != (len(inputs), len(counts)) or not len(inputs):
            raise BadInput(
                f"right of shape {right.shape} does not fit {len(inputs)} inputs and "
                f"{len(counts)} counts; try every input with every count"
            )
        pieces = sorted({piece for said in inputs for piece in said})
        vocabulary = {piece: column for column, piece in enumerate(pieces)}
        features = _features(inputs, vocabulary)
        weights = np.vstack([_logistic(features, right[:, i], ridge) for i in range(len(counts))])
        return cls(tuple(counts), vocabulary, weights)

    def p_right(self, inputs: Sequence[Sequence[str]]) -> Floats:
        """(inputs, counts); more demonstrations are never believed to hurt."""
        beliefs = expit(_features(inputs, self.vocabulary) @ self.weights.T)
        rising: Floats = np.maximum.accumulate(beliefs, axis=1)
        return rising

    def plan(
        self, inputs: Sequence[Sequence[str]], budget_tokens: float, tokens_each: float
    ) -> Plan:
        """Which count for which input within `budget_tokens`, at `tokens_each` a demonstration.

        ``plan.choice`` indexes `counts`. Raises as `allocate` does.
        """
        costs = np.tile(np.array(self.counts) * tokens_each, (len(inputs), 1))
        return allocate(Options(self.p_right(inputs), costs), budget_tokens)


async def ask_with(
    items: Sequence[Demonstrated], counts: Sequence[int], bench: Workbench
) -> tuple[list[str | None], Usage]:
    """Each item's answer with so many of its demonstrations before the query, greedy, in order.

    One call each through the purse, None where it was not covered; and what they used in all.
    """
    backend = bench.backends[0]
    calls = [
        Call(
            backend,
            Request(
                prompt="".join(item.pool[:count]) + item.question.prompt,
                max_tokens=bench.tasks[item.question.task].max_tokens,
                question_id=item.question.id,
                temperature=0.0,
                seed=bench.seed,
            ),
        )
        for item, count in zip(items, counts, strict=True)
    ]
    before = bench.purse.spent
    told = await bench.purse.complete(calls)
    answers = [
        bench.tasks[item.question.task].extract(item.question, done.text)
        if isinstance(done, Completion)
        else None
        for item, done in zip(items, told, strict=True)
    ]
    return answers, bench.purse.spent - before


def _features(inputs: Sequence[Sequence[str]], vocabulary: dict[str, int]) -> Floats:
    """Which known pieces each input has, and a one."""
    features = np.zeros((len(inputs), len(vocabulary) + 1))
    features[:, -1] = 1.0
    for row, said in enumerate(inputs):
        features[row, [vocabulary[piece] for piece in said if piece in vocabulary]] = 1.0
    return features


def _logistic(features: Floats, right: NDArray[np.bool_], ridge: float) -> Floats:
    """Weights of least log-loss + ridge |w|^2 / 2."""
    sign = np.where(right, 1.0, -1.0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        margin = sign * (features @ weights)
        slope = -(features.T @ (sign * expit(-margin))) + ridge * weights
        return float(np.logaddexp(0, -margin).sum() + ridge * weights @ weights / 2), slope

    found: Floats = minimize(loss, np.zeros(features.shape[1]), jac=True, method="L-BFGS-B").x
    return found
