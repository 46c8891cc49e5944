"""Verifiers that buy nothing: they read what is known of an attempt since it was bought."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bursar.backends.base import Completion
from bursar.reason.base import Attempt, Work
from bursar.reason.purse import Call
from bursar.reason.workbench import Workbench


class _Known:
    """Asks nothing, and reads the attempt."""

    def asks(self, work: Work, attempt: int, sample: int, bench: Workbench) -> Call | None:
        return None

    def reads(
        self, work: Work, attempt: int, sample: int, said: Completion | None, bench: Workbench
    ) -> float | None:
        return self.score(work.attempts[attempt])

    def score(self, attempt: Attempt) -> float | None:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class ExactCheck(_Known):
    """The task's exact checker: 1 or 0; None where there is none or it may not be asked."""

    def score(self, attempt: Attempt) -> float | None:
        return None if attempt.verified is None else float(attempt.verified)


@dataclass(frozen=True, slots=True)
class ProcessReward(_Known):
    """The process-reward head's score of the last step; None where there is no head."""

    def score(self, attempt: Attempt) -> float | None:
        return attempt.score


@dataclass(frozen=True, slots=True)
class Likelihood(_Known):
    """The probability of the text, which orders attempts but is no chance of being right."""

    def score(self, attempt: Attempt) -> float | None:
        return None if attempt.logprob is None else math.exp(attempt.logprob)
