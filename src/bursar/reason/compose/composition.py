"""Composition: layers of generators, fusers, verifiers and rankers, then a vote; one strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bursar.answer import Answer
from bursar.reason.base import OnRound, Pick, Round, Work, to_answer
from bursar.reason.compose.layers import Candidates, Layer
from bursar.reason.self_consistency import vote
from bursar.reason.verify.known import Likelihood, ProcessReward
from bursar.reason.workbench import Workbench
from bursar.workload.tasks.base import Question

WEIGHTS = ("count", "likelihood", "process_reward")
"""By what the last vote weighs a candidate."""


@dataclass(frozen=True, slots=True)
class Composition:
    """Every question goes through `layers` in order; the candidates left vote, by `weight`."""

    layers: tuple[Layer, ...]
    weight: str = "count"
    name: str = "composition"

    @property
    def calls(self) -> int:
        """The most calls that one question can cost."""
        total = candidates = 0
        for layer in self.layers:
            calls, candidates = layer.size(candidates)
            total += calls
        return total

    async def solve(
        self, questions: Sequence[Question], bench: Workbench, on_round: OnRound | None = None
    ) -> list[Answer]:
        asked = [Candidates(Work(q)) for q in questions]
        for layer in self.layers:
            refused = await layer.apply([q for q in asked if q.work.verified is None], bench)
            if on_round:
                picks = tuple(self.pick(q) for q in asked)
                on_round(Round(bench.purse.spent, None, len(asked), picks))
            if refused:
                break
        return [to_answer(q.work, self.pick(q)) for q in asked]

    def pick(self, question: Candidates) -> Pick:
        """The answer to give now."""
        if question.work.verified is not None:
            return Pick(question.work.verified, 1.0)
        every = range(len(question.work.attempts))
        attempts = [question.work.attempts[i] for i in question.alive or every]
        known = {"likelihood": Likelihood().score, "process_reward": ProcessReward().score}
        if self.weight not in known:
            return vote(attempts, [1.0] * len(attempts))
        scores = [known[self.weight](a) for a in attempts]
        return vote(attempts, [1.0 if s is None else s for s in scores])
