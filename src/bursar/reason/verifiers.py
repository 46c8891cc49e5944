"""Learned verifiers. (The exact checkers are the tasks' own; the workbench asks them itself.)"""

from typing import Protocol

from bursar.backends.base import Completion


class Scorer(Protocol):
    """Scores a completion by what its source shows: hidden states, log-probabilities, text."""

    def score(self, task: str, completion: Completion) -> float | None:
        """Probability in [0, 1] that the completion is right; None when it can't tell."""
        ...
