"""Learned verifiers. (The exact checkers are the tasks' own; the workbench asks them itself.)"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.special import expit

from bursar.backends.base import Completion

if TYPE_CHECKING:
    from bursar.backends.tiny.verifier import Verifier


class Scorer(Protocol):
    """Scores a completion by what its source shows: hidden states, log-probabilities, text."""

    def score(self, task: str, completion: Completion) -> float | None:
        """Probability in [0, 1] that the completion is right; None when it can't tell."""
        ...


@dataclass(frozen=True, slots=True)
class StepScorer:
    """The built-in process-reward head: the score of a text is that of its last step.

    Asked only about `trusted` tasks. Elsewhere the log-probability of the text tells right from
    wrong better (area under ROC .94 against .71 on chains, .82 against .66 on sudoku4, see
    benchmarks/results/verifiers.json), and picking by the head gets worse with more samples.
    """

    head: Verifier
    trusted: frozenset[str] = frozenset({"countdown"})

    @classmethod
    def load(cls, model: str) -> StepScorer | None:
        """The head trained for a built-in model; None where there is none."""
        from bursar.backends.tiny.verifier import Verifier

        head = Verifier.load(model)
        return None if head is None else cls(head)

    def score(self, task: str, completion: Completion) -> float | None:
        """Score of the last step; None when no hidden states came back."""
        if task not in self.trusted or completion.hidden is None or not len(completion.hidden):
            return None
        return float(np.asarray(self.head.score(completion.hidden, task))[-1])


@dataclass(frozen=True, slots=True)
class RewardScorer:
    """A reward that the source reports itself, as `ReplayBackend` does for a recorded one."""

    def score(self, task: str, completion: Completion) -> float | None:
        """Sigmoid of the reward: reward models are trained so; None where there is none."""
        reward = completion.meta.get("reward")
        return None if reward is None else float(expit(float(reward)))
