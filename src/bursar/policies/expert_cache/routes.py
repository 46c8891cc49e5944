"""Predicts the experts of a token in all layers at once, from the token and those before it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bursar.errors import BadInput
from bursar.workload.expert_routing import RoutingTrace

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class RoutePredictor:
    """How often each expert was used after the same 1, 2, .. tokens of the same question.

    A longer context is believed as far as it was seen: its counts are added to `pseudo_counts`
    times what the context shorter by one predicts (as in smoothed n-grams).
    """

    average: Floats
    """(layers, experts) expected uses by a token of which nothing is known."""
    tables: tuple[dict[int, Floats], ...]
    """By length of context: its code -> (layers * experts + 1,) uses, and how often it was seen."""
    pseudo_counts: float

    @classmethod
    def fit(
        cls, trace: RoutingTrace, *, context: int = 3, pseudo_counts: float = 2.0
    ) -> "RoutePredictor":
        """From a trace; raises `BadInput` when it is empty or `context` is below 1."""
        if not len(trace) or context < 1:
            raise BadInput(
                f"a trace of {len(trace)} tokens and a context of {context}; both must be at least "
                "1: give tokens to learn from, and count the token itself as context"
            )
        used = _uses(trace)
        tables = []
        for code in _contexts(trace.token, trace.question, context):
            values, group = np.unique(code, return_inverse=True)
            sums = np.zeros((len(values), used.shape[1]))
            np.add.at(sums, group, used)
            tables.append(dict(zip(values.tolist(), sums, strict=True)))
        shape = (trace.num_layers, trace.num_experts)
        return cls(used[:, :-1].mean(0).reshape(shape), tuple(tables), pseudo_counts)

    def predict(self, token: Ints, question: Ints) -> Floats:
        """(tokens, layers, experts) the expected uses of each expert, at most 1, by each token.

        `token` and `question` (tokens,) are those of a `RoutingTrace`, in the same order.
        """
        rows = np.tile(self.average.ravel(), (len(token), 1))
        codes = _contexts(token, question, len(self.tables))
        for table, code in zip(self.tables, codes, strict=True):
            for row, key in enumerate(code.tolist()):
                if (seen := table.get(key)) is not None:
                    total = self.pseudo_counts + seen[-1]
                    rows[row] = (self.pseudo_counts * rows[row] + seen[:-1]) / total
        return rows.reshape(len(token), *self.average.shape)


def _uses(trace: RoutingTrace) -> Floats:
    """(tokens, layers * experts + 1): 1 where a token uses an expert, and a last column of 1."""
    used = np.zeros((len(trace), trace.num_layers, trace.num_experts))
    np.put_along_axis(used, trace.experts, 1.0, axis=2)
    return np.append(used.reshape(len(trace), -1), np.ones((len(trace), 1)), axis=1)


def _contexts(token: Ints, question: Ints, context: int) -> list[Ints]:
    """For 1 .. `context` tokens: a code of each token with so many of its own question before."""
    base = 1 << 12
    codes = [token + 1]
    for back in range(1, context):
        before = np.zeros_like(token)  # 0: the question's beginning
        same = question[back:] == question[:-back]
        before[back:][same] = token[:-back][same] + 1
        codes.append(codes[-1] * base + before)
    return codes
