"""The built-in process reward: P(right so far) of each step, from the model's own hidden states.

A step is a line; its hidden state is the one after the final norm at the line's newline (or at the
last token said). One small perceptron per task, trained on the model's own sampled solutions by
`bursar.training.train_verifier`:

- chain and sudoku4: P(every step so far is right)   (exact labels)
- countdown: P(this attempt reaches the target)      (labels are outcomes)
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from bursar.errors import BadInput

WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Verifier:
    """One head per task: (inner weight, inner bias, outer weight, outer bias)."""

    heads: dict[str, tuple[NDArray[np.float32], ...]]

    @classmethod
    def load(cls, size: str, weights: Path = WEIGHTS) -> "Verifier | None":
        """The heads trained for the model `size`, None when there are none."""
        path = weights / f"verifier-{size}.safetensors"
        if not path.exists():
            return None
        tensors = load_file(path)
        tasks = {name.split(".")[0] for name in tensors}
        parts = ("inner.weight", "inner.bias", "outer.weight", "outer.bias")
        return cls({t: tuple(tensors[f"{t}.{p}"] for p in parts) for t in tasks})

    def score(self, hidden: NDArray[np.float32], task: str) -> NDArray[np.float32]:
        """(steps, width) hidden states -> (steps,) probabilities. Raises `BadInput` on the task."""
        if task not in self.heads:
            raise BadInput(f"no verifier for task {task!r}; known: {', '.join(sorted(self.heads))}")
        inner, inner_bias, outer, outer_bias = self.heads[task]
        logits = np.maximum(hidden @ inner.T + inner_bias, 0) @ outer[0] + outer_bias[0]
        probabilities: NDArray[np.float32] = (1 / (1 + np.exp(-logits))).astype(np.float32)
        return probabilities
