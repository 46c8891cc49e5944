"""Sequential revision (budget forcing): make the model go on after its answer, and take the last.

Paper: Muennighoff et al., "s1: Simple test-time scaling", 2025, arXiv:2501.19393; section 3.1.
Symbols: number of times "Wait" is appended -> max_rounds - 1.
Differs: the marker is the one that the built-in model was trained with; where an exact checker
  may be asked, revising ends at the first accepted answer.
Checked: tests/papers/test_revision.py: on Countdown several rounds beat one; on chains forcing
  more rounds does not help.
"""

from dataclasses import dataclass

from bursar.reason.base import Arm, Pick, Work
from bursar.reason.workbench import Workbench


@dataclass(frozen=True, slots=True)
class Revision:
    """One attempt, then up to `max_rounds - 1` revisions of it; None: as the budget allows."""

    max_rounds: int | None = 8

    def next_arm(self, work: Work, bench: Workbench) -> Arm | None:
        if self.max_rounds is not None and len(work.attempts) >= self.max_rounds:
            return None
        if work.attempts and work.attempts[-1].truncated:  # no room left in the context
            return None
        return Arm(bench.backends[0], bench.temperature, revise=bool(work.attempts))

    def pick(self, work: Work) -> Pick:
        last = next((a.answer for a in reversed(work.attempts) if a.answer is not None), None)
        return Pick(last, None)
