"""`auto` with several models learns which of them pays on which kind of question."""

import asyncio
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest

from bursar.backends.simulated import RIGHT, BetaDifficulty, SimulatedBackend, SimulatedTask
from bursar.budget import Budget
from bursar.reason.auto import Auto
from bursar.reason.kinds import kinds_of, one_kind
from bursar.reason.purse import Purse
from bursar.reason.solve import Solution, solve
from bursar.reason.workbench import Workbench
from bursar.value.base import Ints
from bursar.workload.tasks.base import Question

ASKS = (
    "translate the sentence number {} into french and keep its tone",
    "integrate the function f{} over the interval and show each step",
)
SEEDS = range(4)


@dataclass(frozen=True)
class ByKind:
    """The chance that an attempt is right, by the kind that the question's id ends in."""

    of: tuple[BetaDifficulty, ...]

    def __call__(self, question_id: str, tokens_out: int) -> float:
        return self.of[int(question_id[-1])](question_id, tokens_out)


def ask(seed: int, count: int = 160, told: bool = True) -> list[Question]:
    """Two kinds in turn; the prompt tells which, or, as a control, another question's."""
    said = np.arange(count) % 2
    if not told:
        said = np.random.default_rng(seed).permutation(said)
    return [
        Question(f"{seed}-{i}-{i % 2}", "simulated", ASKS[said[i]].format(i), RIGHT)
        for i in range(count)
    ]


def model(name: str, median_tokens: float, *of: BetaDifficulty) -> SimulatedBackend:
    """Its wrong answers scatter."""
    return SimulatedBackend(
        ByKind(of), wrong_answers=40, skew=0.0, median_tokens=median_tokens, spread=0.2, name=name
    )


def run(
    seed: int, tokens: float, told: bool = True, checked: bool = True
) -> tuple[Solution, Counter[tuple[str, str]]]:
    """One run with a cheap model that can do the first kind only, and a dear one that can do both;
    and how often each was asked at each kind."""
    fit, unfit = BetaDifficulty(18, 2, seed=seed), BetaDifficulty(1, 12, seed=seed)
    models = {"cheap": model("cheap", 20, fit, unfit), "dear": model("dear", 120, fit, fit)}
    task = SimulatedTask(max_tokens=300, verifiable=checked)
    purse = Purse(Budget({"tokens": tokens}), {**models})
    bench = Workbench(purse, {task.name: task}, seed=seed)
    solution = asyncio.run(solve(Auto(), ask(seed, told=told), bench))
    calls = Counter(
        (model, question[-1])
        for model, question in (line.what.split() for line in purse.budget.lines)
    )
    return solution, calls


def accuracy(tokens: float, **world: bool) -> float:
    return float(np.mean([run(seed, tokens, **world)[0].accuracy or 0.0 for seed in SEEDS]))


def test_it_learns_which_model_pays_on_which_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    told, shuffled = accuracy(14_000), accuracy(14_000, told=False)
    monkeypatch.setattr("bursar.reason.market.kinds_of", one_kind)
    without = accuracy(14_000)
    assert told > without + 0.1
    assert abs(shuffled - without) < 0.06  # the control: kinds that tell nothing change little


def test_the_dear_model_is_asked_where_the_cheap_one_fails() -> None:
    told, shuffled = (
        sum((run(seed, 18_000, told=told)[1] for seed in SEEDS), Counter())
        for told in (True, False)
    )
    assert told["cheap", "0"] > 10 * told["dear", "0"]
    assert told["dear", "1"] > 1.2 * shuffled["dear", "1"]
    assert told["cheap", "1"] < 0.6 * shuffled["cheap", "1"]


def test_without_a_checker_kinds_do_no_harm_and_help_where_there_are_votes_enough() -> None:
    tight, ample = (
        accuracy(tokens, checked=False) - accuracy(tokens, checked=False, told=False)
        for tokens in (14_000, 32_000)
    )
    assert tight > -0.03
    assert ample > 0.03


def test_the_report_names_the_kinds() -> None:
    solution, _ = run(0, 14_000)
    kinds = {b.kind for r in solution.rounds for b in r.by_arm}
    assert kinds == {"simulated: translate", "simulated: step"}


def test_kinds_are_the_levels_where_there_are_any() -> None:
    questions = [replace(q, level="xy"[i % 2]) for i, q in enumerate(ask(0, 48))]
    kinds = kinds_of(questions)
    assert kinds.names == ("simulated x", "simulated y")
    assert np.array_equal(kinds.of, np.arange(48) % 2)


def test_kinds_are_found_in_the_words() -> None:
    assert np.array_equal(_pairs(kinds_of(ask(0)).of), _pairs(np.arange(160) % 2))


@pytest.mark.parametrize("count", [20, 160])
def test_few_or_like_questions_are_of_one_kind(count: int) -> None:
    alike = SimulatedTask().generate(count, seed=0)
    assert kinds_of(alike).names == ("simulated",)


def _pairs(of: Ints) -> Ints:
    """Which questions are of one kind."""
    return np.asarray(of[:, None] == of)
