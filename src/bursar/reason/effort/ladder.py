"""Effort ladder: one attempt at each effort, lowest first, until an answer can be trusted.

Trusted is an answer that two attempts share, or whose text the model finds likely. Efforts are the
workbench's backends in the order given, cheapest first.
"""

from dataclasses import dataclass

from bursar.reason.base import Arm, Pick, Work
from bursar.reason.belief import likelihood_of
from bursar.reason.self_consistency import vote
from bursar.reason.workbench import Workbench


@dataclass(frozen=True, slots=True)
class EffortLadder:
    """`trusted`: least log-probability of a text, per root of its length, to stop at it.

    Chosen on training questions of the built-in dial, where it goes on for about half of them.
    """

    trusted: float = -0.6

    def next_arm(self, work: Work, bench: Workbench) -> Arm | None:
        done = len(work.attempts)
        if done == len(bench.backends) or self._sure(work):
            return None
        return Arm(bench.backends[done], bench.temperature)

    def pick(self, work: Work) -> Pick:
        """The commonest answer; of equals, that of the highest effort."""
        return vote(work.attempts[::-1], [1.0] * len(work.attempts))

    def _sure(self, work: Work) -> bool:
        if not work.attempts:
            return False
        last = work.attempts[-1]
        if last.answer is None:
            return False
        likelihood = likelihood_of(last)
        return (likelihood is not None and likelihood >= self.trusted) or any(
            a.answer == last.answer for a in work.attempts[:-1]
        )
