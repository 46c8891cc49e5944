"""Claim: both ways of scaling can be stopped where they are predicted to saturate."""

from tiny_arena import SEEDS, accuracy, run, tokens

from bursar.reason.best_of_n import BestOfN
from bursar.reason.parallel import Saturating
from bursar.reason.rounds import RoundRobin
from bursar.reason.solve import Solution

MODEL = "tiny-0.3m"


def runs(how: Saturating | RoundRobin, check: bool = True) -> list[Solution]:
    return [
        run(how, "countdown", ("3",), tokens=None, seed=s, model=MODEL, check=check) for s in SEEDS
    ]


def rounds(solutions: list[Solution]) -> float:
    return sum(max(a.attempts for a in s.answers) for s in solutions) / len(solutions)


def test_rounds_before_the_stop_buy_what_was_asked_and_those_after_it_do_not() -> None:
    gain = 0.02
    few, stopped = runs(RoundRobin("probes", BestOfN(4))), runs(Saturating(gain))
    many = runs(RoundRobin("long", BestOfN(48)))
    until = (accuracy(stopped) - accuracy(few)) / (rounds(stopped) - rounds(few))
    after = (accuracy(many) - accuracy(stopped)) / (rounds(many) - rounds(stopped))
    assert rounds(few) < rounds(stopped) < rounds(many) / 2
    assert until >= 0.5 * gain
    assert after < 0.25 * gain


def test_a_smaller_gain_goes_further() -> None:
    loose, tight = runs(Saturating(0.1)), runs(Saturating(0.02))
    assert tokens(loose) < tokens(tight)
    assert accuracy(loose) <= accuracy(tight)


def test_without_a_checker_it_ends_with_its_probes() -> None:
    (solution,) = runs(Saturating(0.02, probes=2), check=False)[:1]
    assert max(a.attempts for a in solution.answers) <= 4
