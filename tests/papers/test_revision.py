"""Claim: forcing the model to go on raises accuracy where errors can be seen, here in Countdown.

The counterpart is recorded too: on chains, where nothing shows an error, more rounds do not help.
"""

from tiny_arena import SEEDS, accuracy, run

from bursar.reason.revision import Revision
from bursar.reason.rounds import RoundRobin


def revised(task: str, levels: tuple[str, ...], rounds: int, check: bool) -> float:
    how = RoundRobin("revision", Revision(rounds))
    return accuracy([run(how, task, levels, tokens=None, seed=s, check=check) for s in SEEDS])


def test_several_rounds_beat_one_on_countdown_when_the_checker_says_when_to_stop() -> None:
    assert revised("countdown", ("4",), 6, True) > revised("countdown", ("4",), 1, True) + 0.1


def test_more_rounds_do_not_help_on_chains() -> None:
    assert revised("chain", ("6",), 3, False) <= revised("chain", ("6",), 1, False) + 0.05
