"""`Answer`: what spending on one question returned, and `Declined`: what was left unbought."""

from dataclasses import dataclass

from bursar.usage import Usage


@dataclass(frozen=True, slots=True)
class Declined:
    """What would have come next for a question: `attempts` by `arm`, which were believed to raise
    P(right) by `gain` for `cost`, in the resource that `asked` (gain per unit) is the price of."""

    arm: str
    attempts: int
    gain: float
    cost: float
    asked: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The best answer so far to one question, and what it took.

    `p_right` is the strategy's own belief that `text` is right, in [0, 1]; None when it has none.
    `verified` is True when an exact checker accepted it. `stopped` says why spending ended.
    """

    question_id: str
    text: str | None
    p_right: float | None
    attempts: int
    usage: Usage
    verified: bool = False
    stopped: str = ""
    declined: Declined | None = None
    """Where the price decided: the best that was not bought."""
