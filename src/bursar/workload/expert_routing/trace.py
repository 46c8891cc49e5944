"""The routing of a mixture of experts, token by token, and the recording that ships with bursar.

`recorded()` holds greedy answers of the built-in `tiny-moe` to questions of all three tasks: its
`fit` part is of questions from the training split, its `held_out` part from the test split, so a
method that learns from one can be judged on the other. Made by

    python -m bursar.training.record_routing
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bursar.errors import BadInput

RECORDING = Path(__file__).parent / "tiny-moe.npz"

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RoutingTrace:
    """Tokens in the order of their questions and, within one, of the text.

    Raises `BadInput` when the columns differ in length, or an expert is outside [0, num_experts).
    """

    experts: Ints
    """(tokens, layers, top_k) the experts of each token in each layer, the best first."""
    shares: Floats
    """(tokens, layers, top_k) the weights of their outputs; a row of top_k sums to 1."""
    token: Ints
    """(tokens,) the token's id in the model's vocabulary."""
    question: Ints
    """(tokens,) which question it belongs to."""
    num_experts: int
    """In each layer."""

    def __post_init__(self) -> None:
        lengths = {len(self.experts), len(self.shares), len(self.token), len(self.question)}
        if len(lengths) > 1 or self.experts.ndim != 3 or self.shares.shape != self.experts.shape:
            raise BadInput(
                f"experts has the shape {self.experts.shape}, shares {self.shares.shape}, token "
                f"{self.token.shape}, question {self.question.shape}; the first two are (tokens, "
                "layers, top_k), the others (tokens,)"
            )
        if self.experts.size and not 0 <= self.experts.min() <= self.experts.max() < (
            self.num_experts
        ):
            raise BadInput(
                f"experts run from {self.experts.min()} to {self.experts.max()}; they are numbered "
                f"from 0 and there are {self.num_experts}"
            )

    def __len__(self) -> int:
        return len(self.token)

    @property
    def num_layers(self) -> int:
        """Layers with experts."""
        return int(self.experts.shape[1])

    @property
    def top_k(self) -> int:
        """Experts per token and layer."""
        return int(self.experts.shape[2])

    def load(self) -> Ints:
        """(layers, num_experts) how many tokens each expert was given."""
        return np.stack(
            [
                np.bincount(self.experts[:, layer].ravel(), minlength=self.num_experts)
                for layer in range(self.num_layers)
            ]
        )

    def rows(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> "RoutingTrace":
        """The tokens that `which` picks (a mask or row numbers), in that order."""
        return RoutingTrace(
            self.experts[which],
            self.shares[which],
            self.token[which],
            self.question[which],
            self.num_experts,
        )

    def shuffled(self, rng: np.random.Generator) -> "RoutingTrace":
        """A control: each layer's rows permuted among tokens.

        Every expert keeps its load and every layer its pairs of experts, but what a token's route
        was in one layer, or which token it is, says nothing of its next layer.
        """
        orders = [rng.permutation(len(self)) for _ in range(self.num_layers)]
        experts, shares = self.experts.copy(), self.shares.copy()
        for layer, order in enumerate(orders):
            experts[:, layer] = experts[order, layer]
            shares[:, layer] = shares[order, layer]
        return RoutingTrace(experts, shares, self.token, self.question, self.num_experts)


class Recorded(NamedTuple):
    """A recording in two parts with no question in common."""

    fit: RoutingTrace
    held_out: RoutingTrace


def recorded() -> Recorded:
    """The routing of the built-in `tiny-moe` (6 layers, 16 experts, top 2)."""
    with np.load(RECORDING) as file:
        whole = RoutingTrace(
            file["experts"].astype(np.int64),
            file["shares"].astype(np.float32),
            file["token"].astype(np.int64),
            file["question"].astype(np.int64),
            int(file["num_experts"]),
        )
        held_out = file["held_out"]
    return Recorded(whole.rows(~held_out), whole.rows(held_out))
