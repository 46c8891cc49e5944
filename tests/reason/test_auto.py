"""`auto`: the laws it must keep, and what it is for."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from arena import Arena, accuracy
from bursar.backends import open_backend
from bursar.backends.simulated import BetaDifficulty, SimulatedBackend
from bursar.budget import Budget
from bursar.errors import BadInput
from bursar.reason import strategy
from bursar.reason.auto import Auto
from bursar.reason.auto_streamed import AutoStreamed
from bursar.reason.base import Round
from bursar.reason.purse import Purse
from bursar.reason.solve import solve
from bursar.reason.workbench import Workbench
from bursar.workload.tasks import TASKS

SEEDS = range(3)


@pytest.mark.parametrize("tokens", [20_000, 50_000])
def test_beats_uniform_voting_at_equal_budget_without_a_checker(tokens: int) -> None:
    arena = Arena()
    auto = accuracy([arena.run(Auto(), tokens, s) for s in SEEDS])
    uniform = accuracy([arena.run(strategy("self_consistency"), tokens, s) for s in SEEDS])
    assert auto > uniform + 0.02


def test_is_no_worse_than_a_single_answer_when_that_is_all_the_budget_allows() -> None:
    arena = Arena()
    auto = accuracy([arena.run(Auto(), 12_000, s) for s in SEEDS])
    single = accuracy([arena.run(strategy("self_consistency"), 12_000, s) for s in SEEDS])
    assert auto >= single - 0.01


def test_with_a_checker_it_gives_the_hard_questions_what_the_solved_ones_do_not_need() -> None:
    arena = Arena(checked=True, beta=(0.6, 1.5))
    auto = accuracy([arena.run(Auto(), 60_000, s) for s in SEEDS])
    uniform = accuracy([arena.run(strategy("best_of_n"), 60_000, s) for s in SEEDS])
    assert auto >= uniform


def test_buys_from_the_cheaper_of_two_equal_models() -> None:
    arena = Arena()
    easy = BetaDifficulty(3, 1, seed=0)
    cheap = SimulatedBackend(easy, median_tokens=40, spread=0.2, name="cheap")
    dear = SimulatedBackend(easy, median_tokens=160, spread=0.2, name="dear")
    backends = {"dear": dear, "cheap": cheap}
    bench = arena.bench(Budget({"tokens": 40_000}), 0, dict(backends))
    asyncio.run(solve(Auto(), arena.ask(0), bench))
    calls = [line.what.split()[0] for line in bench.purse.budget.lines]
    assert calls.count("cheap") > 10 * calls.count("dear")


def test_pays_for_the_better_model_where_the_cheap_one_fails() -> None:
    arena = Arena(checked=True)
    cheap = SimulatedBackend(BetaDifficulty(0.15, 3, seed=0), median_tokens=40, name="cheap")
    dear = SimulatedBackend(BetaDifficulty(4, 1, seed=1), median_tokens=80, name="dear")
    both = arena.run(Auto(), 60_000, 0, {"cheap": cheap, "dear": dear})
    alone = arena.run(Auto(), 60_000, 0, {"cheap": cheap})
    assert (both.accuracy or 0) > (alone.accuracy or 0) + 0.2


def test_more_budget_is_never_much_worse() -> None:
    arena = Arena()
    by_budget = [
        accuracy([arena.run(Auto(), tokens, s) for s in SEEDS])
        for tokens in (15_000, 30_000, 60_000)
    ]
    assert by_budget == sorted(by_budget)


def test_what_it_believes_is_about_what_is_true() -> None:
    arena = Arena()
    for tokens in (30_000, 80_000):
        runs = [arena.run(Auto(), tokens, s) for s in SEEDS]
        believed = np.mean([a.p_right or 0.0 for r in runs for a in r.answers])
        assert believed == pytest.approx(accuracy(runs), abs=0.09)


def test_worth_ends_spending_early() -> None:
    arena = Arena()
    all_in = arena.run(Auto(), 80_000)
    thrifty = arena.run(Auto(worth=300.0), 80_000)
    assert 0.1 < (thrifty.spent.tokens or 0) / (all_in.spent.tokens or 1) < 0.7
    assert (thrifty.accuracy or 0) > 0.55
    assert {a.stopped for a in thrifty.answers} <= {"price"}


def test_same_inputs_and_seed_give_the_same_answers_and_spend() -> None:
    arena = Arena(questions=60)
    first, second = arena.run(Auto(), 10_000, 1), arena.run(Auto(), 10_000, 1)
    assert first.answers == second.answers
    assert first.spent == second.spent


def test_says_what_a_round_will_cost_before_it_is_spent() -> None:
    arena = Arena()
    rounds = arena.run(Auto(), 60_000).rounds
    predicted = sum(r.predicted or 0.0 for r in rounds)
    assert predicted == pytest.approx(rounds[-1].spent.tokens or 0, rel=0.1)
    assert all(r.price is not None and r.price >= 0 for r in rounds)


def test_says_what_it_bought_and_what_that_was_believed_to_pay() -> None:
    solution = Arena().run(Auto(), 30_000)
    bought = [(r.price or 0.0, b) for r in solution.rounds for b in r.by_arm]
    assert sum(b.attempts for _, b in bought) == sum(a.attempts for a in solution.answers)
    assert {(b.kind, b.arm) for _, b in bought} == {("simulated", "simulated/sample/T0.7")}
    assert all(b.gain >= 0.99 * price * b.cost for price, b in bought)
    assert bought[-1][1].chance == pytest.approx(2 / 3.5, abs=0.1)  # the arena's mean


def test_says_of_a_question_what_came_next_and_why_that_was_not_worth_it() -> None:
    solution = Arena().run(Auto(worth=300.0), 80_000)
    left = [a.declined for a in solution.answers if a.declined]
    assert len(left) > 50
    assert all(d.asked == pytest.approx(1 / 300) for d in left)
    assert all(0 < d.gain <= 1.001 * d.asked * d.cost for d in left)
    checked = Arena(checked=True).run(Auto(), 60_000)
    assert all(a.declined is None for a in checked.answers if a.verified)


def test_is_anytime_every_round_has_a_pick_for_every_question() -> None:
    arena = Arena(questions=50)
    rounds: list[Round] = []
    bench = arena.bench(Budget({"tokens": 10_000}), 0)
    asyncio.run(solve(Auto(), arena.ask(0), bench, rounds.append))
    assert all(len(r.picks) == 50 for r in rounds)
    expected = [sum(p.p_right or 0 for p in r.picks) for r in rounds]
    assert expected[-1] > expected[0]


def test_needs_a_limit_to_plan_with() -> None:
    arena = Arena(questions=5)
    with pytest.raises(BadInput, match="limit"):
        asyncio.run(solve(Auto(), arena.ask(0), arena.bench(Budget(), 0)))


def test_several_limits_all_hold() -> None:
    arena = Arena(questions=60)
    budget = Budget({"tokens": 12_000, "tokens_out": 6_000})
    bench = arena.bench(budget, 0)
    asyncio.run(solve(Auto(), arena.ask(0), bench))
    spent = budget.spent
    assert (spent.tokens or 0) <= 12_000
    assert 4_000 < (spent.tokens_out or 0) <= 6_000


def test_a_stream_gets_nearly_what_the_whole_batch_would_and_never_more_spend() -> None:
    arena = Arena(questions=120)
    streamed = accuracy([arena.run(AutoStreamed(), 25_000, s) for s in SEEDS])
    uniform = accuracy([arena.run(strategy("self_consistency"), 25_000, s) for s in SEEDS])
    batch = accuracy([arena.run(Auto(), 25_000, s) for s in SEEDS])
    assert streamed > uniform
    assert streamed > batch - 0.05


async def test_a_stream_with_a_greedy_arm_does_not_spend_all_on_its_first_questions() -> None:
    questions = TASKS["chain"].generate(30, seed=0)
    tiny = open_backend("tiny-0.3m")
    bench = Workbench(
        Purse(Budget("3k tokens"), {"tiny-0.3m": tiny}), TASKS, greedy=frozenset({"tiny-0.3m"})
    )
    answers = await AutoStreamed().solve(questions, bench)
    assert sum(a.attempts > 0 for a in answers[-10:]) >= 8


def test_a_stream_paces_itself() -> None:
    arena = Arena(questions=120)
    solution = arena.run(AutoStreamed(), 25_000)
    halves = solution.rounds[59].spent.tokens or 0
    assert 0.3 < halves / 25_000 < 0.75


@pytest.mark.parametrize("tokens", [8_000, 16_000, 60_000])
def test_a_stream_leaves_something_for_its_last_questions(tokens: int) -> None:
    solution = Arena(questions=100).run(AutoStreamed(), tokens)
    late = [a.attempts for a in solution.answers[-20:]]
    assert sum(n > 0 for n in late) >= 10


def test_questions_of_an_unknown_task_are_refused_before_any_spend() -> None:
    arena = Arena(questions=3)
    bench = arena.bench(Budget({"tokens": 1_000}), 0)
    stray = [replace(q, task="nowhere") for q in arena.ask(0)]
    with pytest.raises(KeyError):
        asyncio.run(solve(Auto(), stray, bench))
    assert bench.purse.spent.tokens == 0
