"""A small world for strategy tests: simulated questions, a budget, one call."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bursar.answer import Answer
from bursar.backends.base import Backend
from bursar.backends.simulated import BetaDifficulty, SimulatedBackend, SimulatedTask
from bursar.budget import Budget
from bursar.reason.base import Round, Strategy
from bursar.reason.purse import Purse
from bursar.reason.solve import Solution, solve
from bursar.reason.workbench import Workbench
from bursar.workload.tasks.base import Question


@dataclass(frozen=True)
class Arena:
    """`questions` simulated ones of Beta difficulty; a checker or none; any number of backends."""

    questions: int = 200
    beta: tuple[float, float] = (2.0, 1.5)
    checked: bool = False
    median_tokens: float = 50.0

    def bench(
        self, budget: Budget, seed: int, backends: dict[str, Backend] | None = None
    ) -> Workbench:
        backend = SimulatedBackend(
            BetaDifficulty(*self.beta, seed=seed), median_tokens=self.median_tokens, spread=0.3
        )
        task = SimulatedTask(verifiable=self.checked, max_tokens=400)
        purse = Purse(budget, backends or {"simulated": backend})
        return Workbench(purse, {task.name: task}, seed=seed)

    def ask(self, seed: int) -> list[Question]:
        return SimulatedTask().generate(self.questions, seed=seed)

    def run(
        self,
        strategy: Strategy,
        tokens: float,
        seed: int = 0,
        backends: dict[str, Backend] | None = None,
        references: bool = True,
    ) -> Solution:
        bench = self.bench(Budget({"tokens": tokens}), seed, backends)
        asked = self.ask(seed)
        if not references:
            asked = [replace(question, answer=None) for question in asked]
        solution = asyncio.run(solve(strategy, asked, bench))
        spent = solution.spent.tokens
        assert spent is not None
        assert spent <= tokens
        return solution


def accuracy(solutions: Sequence[Solution]) -> float:
    """Mean accuracy of several runs."""
    return sum(s.accuracy or 0.0 for s in solutions) / len(solutions)


def attempts(answers: Sequence[Answer]) -> int:
    """How many attempts were bought in all."""
    return sum(a.attempts for a in answers)


__all__ = ["Arena", "Round", "accuracy", "attempts"]
