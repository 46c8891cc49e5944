"""The live router: never over, one answer each, and better than one model for the same money."""

import asyncio
from dataclasses import dataclass

import numpy as np
import pytest

from bursar.backends.simulated import SimulatedBackend, SimulatedTask
from bursar.backends.token_price import TokenPrice
from bursar.budget import Budget
from bursar.errors import BadInput
from bursar.reason.purse import Purse
from bursar.reason.route import BestSingle, Cascade, Direct, Router, Similarity
from bursar.reason.route.base import STOP
from bursar.reason.route.routed import Routed, Way
from bursar.reason.solve import Solution, solve
from bursar.reason.workbench import Workbench
from bursar.value.outcomes import Outcomes
from bursar.workload.tasks.base import Question
from reason.route.mixed_questions import CHANCE, WAYS, WORDS, mixed

PRICES = {"near": 1.0, "wide": 5.0, "far": 2.0}
TASK = SimulatedTask(max_tokens=150)


@dataclass(frozen=True)
class ByKind:
    """The chance of one of the three ways at a question, by the kind that its id names."""

    way: int

    def __call__(self, question_id: str, tokens_out: int) -> float:
        return CHANCE[question_id.split("-")[0]][self.way]


def models() -> dict[str, SimulatedBackend]:
    return {
        name: SimulatedBackend(
            ByKind(i), median_tokens=100, spread=0.05, wrong_answers=20, skew=0.0,
            price=TokenPrice(PRICES[name], PRICES[name]), name=name,
        )
        for i, name in enumerate(WAYS)
    }  # fmt: skip


def asked(count: int, seed: int) -> list[Question]:
    kinds = {word: kind for kind, words in WORDS.items() for word in words.split()}
    return [
        Question(f"{kinds[p.split()[0]]}-{seed}-{i}", TASK.name, p, answer="right")
        for i, p in enumerate(mixed(count, seed).prompts)
    ]


def past(votes: dict[str, int]) -> Outcomes:
    """What the ways did on other questions: taken from the models, without a limit."""
    questions = asked(400, 90)
    ways = {name: Way(name.split("*")[0], count) for name, count in votes.items()}
    runs = [run(Routed(Direct(BestSingle()), blank(name), ways), questions, 1e3) for name in votes]
    return Outcomes(
        tuple(votes), tuple(q.prompt for q in questions),
        np.array([[bool(c) for c in r.correct] for r in runs], dtype=float).T,
        np.array([[a.usage.usd or 0.0 for a in r.answers] for r in runs]).T,
        np.array([[a.p_right or 0.0 for a in r.answers] for r in runs]).T,
    )  # fmt: skip


def blank(name: str) -> Outcomes:
    one = np.ones((1, 1))
    return Outcomes((name,), ("a",), one, 1e-4 * one, one)


def run(strategy: Routed, questions: list[Question], usd: float) -> Solution:
    bench = Workbench(Purse(Budget({"usd": usd}), models()), {TASK.name: TASK})
    solution = asyncio.run(solve(strategy, questions, bench))
    assert (solution.spent.usd or 0.0) <= usd
    return solution


@pytest.fixture(scope="module")
def seen() -> Outcomes:
    return past(dict.fromkeys(WAYS, 1))


WAY = {name: Way(name) for name in WAYS}


def test_for_the_money_of_the_middle_model_reading_is_better_than_the_best_one(
    seen: Outcomes,
) -> None:
    questions = asked(200, 1)
    usd = 0.62 * 200 * float(seen.cost[:, 1].mean())
    routed = run(Routed(Direct(Similarity()), seen, WAY), questions, usd)
    fixed = run(Routed(Direct(BestSingle()), seen, WAY), questions, usd)
    assert (routed.accuracy or 0) > (fixed.accuracy or 0) + 0.08


def test_a_cascade_of_votes_goes_up_where_they_disagree() -> None:
    votes = {"near*3": 3, "wide*3": 3}
    record = past(votes)
    ways = {name: Way(name.split("*")[0], n) for name, n in votes.items()}
    questions = asked(200, 2)
    usd = 0.75 * 200 * float(record.cost[:, 1].mean())
    routed = run(Routed(Cascade(BestSingle()), record, ways), questions, usd)
    fixed = run(Routed(Direct(BestSingle()), record, ways), questions, usd)
    assert (routed.accuracy or 0) > (fixed.accuracy or 0) + 0.04
    assert {a.attempts for a in routed.answers} >= {3, 6}


@pytest.mark.parametrize("router", [Direct(Similarity()), Cascade(Similarity())])
@pytest.mark.parametrize("usd", [1e-9, 2e-4, 5e-3, 1.0])
def test_never_over_and_one_answer_each(router: Router, usd: float, seen: Outcomes) -> None:
    questions = asked(30, 3)
    solution = run(Routed(router, seen, WAY), questions, usd)
    assert [a.question_id for a in solution.answers] == [q.id for q in questions]
    assert sum(a.usage.usd or 0 for a in solution.answers) == pytest.approx(solution.spent.usd)


def test_the_more_money_the_lower_the_price(seen: Outcomes) -> None:
    questions, found = asked(100, 4), []
    for usd in (0.014, 0.025, 0.2):
        bench = Workbench(Purse(Budget({"usd": usd}), models()), {TASK.name: TASK})
        rounds: list[float | None] = []
        strategy = Routed(Direct(Similarity()), seen, WAY)
        asyncio.run(strategy.solve(questions, bench, lambda r, to=rounds: to.append(r.price)))
        found.append(rounds[0] or 0.0)
    assert found[0] > found[1] > found[2] == 0.0


def test_what_does_not_fit_together_is_refused(seen: Outcomes) -> None:
    questions = asked(3, 5)
    with pytest.raises(BadInput, match="no way is given for far"):
        run(Routed(Direct(BestSingle()), seen, {n: WAY[n] for n in WAYS[:2]}), questions, 1.0)
    with pytest.raises(BadInput, match="models at hand"):
        run(Routed(Direct(BestSingle()), seen, WAY | {"far": Way("moon")}), questions, 1.0)
    bench = Workbench(Purse(Budget(None), models()), {TASK.name: TASK})
    with pytest.raises(BadInput, match="needs a limit"):
        asyncio.run(Routed(Direct(BestSingle()), seen, WAY).solve(questions, bench))
    with pytest.raises(BadInput, match="right has shape"):
        Outcomes(("a",), ("p",), np.zeros((2, 1)), np.zeros((1, 1)), np.zeros((1, 1)))


def test_a_cascade_stops_where_going_on_adds_less_than_its_price() -> None:
    record = mixed(400, 0, telling=3.0)
    cascade = Cascade(BestSingle()).fit(record)
    belief, cost = cascade.estimate(("a", "b")), np.tile([1.0, 5.0, np.inf], (2, 1))
    after = np.zeros(2, dtype=np.int64)
    surely, hardly = 4.0, -3.0
    for price, goes_on in ((0.01, 1), (10.0, STOP)):
        way = cascade.next_way(belief, cost, after, np.array([surely, hardly]), price)
        assert way.tolist() == [STOP, goes_on]
