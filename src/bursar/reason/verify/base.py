"""What a verifier is: it judges attempts, and says beforehand what it must buy for that.

A verifier never calls a model: it names the call, `judge` buys it through the purse.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from bursar.backends.base import Completion
from bursar.errors import BackendError
from bursar.reason.base import Verdict, Work
from bursar.reason.purse import Call
from bursar.reason.workbench import Workbench
from bursar.usage import Usage


@runtime_checkable
class Verifier(Protocol):
    """Judges attempt number `attempt` of a question; `sample` numbers its verdicts on it."""

    def asks(self, work: Work, attempt: int, sample: int, bench: Workbench) -> Call | None:
        """What has to be bought to judge; None: nothing."""
        ...

    def reads(
        self, work: Work, attempt: int, sample: int, said: Completion | None, bench: Workbench
    ) -> float | None:
        """P(the attempt is right) in [0, 1], given what was bought; None when it can't tell."""
        ...


async def judge(verifier: Verifier, moves: Sequence[tuple[Work, int]], bench: Workbench) -> int:
    """One verdict per (question, attempt), in order, appended to `work.verdicts`.

    Returns how many the purse could not cover. A call that failed leaves a verdict without a score.
    """
    extra: Counter[tuple[str, int]] = Counter()
    samples, calls = [], []
    for work, attempt in moves:
        key = (work.question.id, attempt)
        samples.append(sum(v.attempt == attempt for v in work.verdicts) + extra[key])
        extra[key] += 1
        calls.append(verifier.asks(work, attempt, samples[-1], bench))
    bought = iter(await bench.purse.complete([call for call in calls if call is not None]))
    refused = 0
    for (work, attempt), sample, call in zip(moves, samples, calls, strict=True):
        done = None if call is None else next(bought)
        if call is not None and done is None:
            refused += 1
        elif isinstance(done, BackendError):
            work.verdicts.append(Verdict(attempt, None, done.usage or Usage.zero()))
        else:
            usage = Usage.zero() if done is None else done.usage
            score = verifier.reads(work, attempt, sample, done, bench)
            work.verdicts.append(Verdict(attempt, score, usage))
    return refused


def mean_scores(work: Work) -> list[float | None]:
    """Per attempt the mean score of its verdicts; None where there is none."""
    scores: list[list[float]] = [[] for _ in work.attempts]
    for verdict in work.verdicts:
        if verdict.score is not None:
            scores[verdict.attempt].append(verdict.score)
    return [sum(s) / len(s) if s else None for s in scores]
