"""Claim: votes weighed by sampled verdicts beat plain votes at equal tokens, if verdicts can tell.

The built-in model's can on Countdown (solutions are read without the verdict they end with, so
that it has to be bought) and can't on chains, which is the control.
"""

import pytest
from silent import Silent
from tiny_arena import SEEDS, accuracy, run

from bursar.errors import BadInput
from bursar.reason.base import Strategy
from bursar.reason.rounds import RoundRobin
from bursar.reason.self_consistency import SelfConsistency
from bursar.reason.verify import GenRM, Noisy, SelfEvaluation
from bursar.workload.tasks import TASKS

VOTE = RoundRobin("vote", SelfConsistency())


def solved(how: Strategy, task: str, level: str, tokens: int, count: int = 40) -> float:
    tasks = {task: Silent(TASKS[task])}
    runs = [
        run(how, task, (level,), tokens=tokens, count=count, seed=s, check=False,
            model="tiny-0.3m", tasks=tasks)
        for s in SEEDS
    ]  # fmt: skip
    return accuracy(runs)


def test_it_beats_voting_where_verdicts_mean_something() -> None:
    assert solved(GenRM(), "countdown", "3", 6_000) > solved(VOTE, "countdown", "3", 6_000) + 0.05


def test_it_loses_to_voting_when_the_verdicts_are_noise() -> None:
    noise = GenRM(verifier=Noisy(SelfEvaluation(temperature=1.0), flips=0.5))
    assert solved(noise, "countdown", "3", 6_000) <= solved(VOTE, "countdown", "3", 6_000)


def test_it_loses_to_voting_where_they_do_not() -> None:
    genrm, vote = (solved(how, "chain", "6", 8_000, 20) for how in (GenRM(), VOTE))
    assert genrm < vote - 0.05


def test_verdicts_are_part_of_the_receipts() -> None:
    solution = run(GenRM(2, 3), "countdown", ("3",), tokens=None, count=5, model="tiny-0.3m")
    assert sum(a.usage.tokens or 0 for a in solution.answers) == solution.spent.tokens


def test_no_verifications_is_voting_and_fewer_are_refused() -> None:
    plain = run(GenRM(0, 4), "chain", ("4",), tokens=None, count=10, model="tiny-0.3m")
    voted = run(
        RoundRobin("vote", SelfConsistency(4)), "chain", ("4",), tokens=None, count=10,
        model="tiny-0.3m",
    )  # fmt: skip
    assert [a.text for a in plain.answers] == [a.text for a in voted.answers]
    with pytest.raises(BadInput, match="verifications"):
        GenRM(-1)
