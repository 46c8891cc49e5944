"""Single: one greedy attempt per question, the cheapest strategy there is."""

from dataclasses import dataclass

from bursar.reason.base import Arm, Pick, Work
from bursar.reason.workbench import Workbench


@dataclass(frozen=True, slots=True)
class Single:
    """One attempt at temperature 0."""

    def next_arm(self, work: Work, bench: Workbench) -> Arm | None:
        return None if work.attempts else Arm(bench.backends[0], 0.0)

    def pick(self, work: Work) -> Pick:
        return Pick(work.attempts[0].answer if work.attempts else None, None)
