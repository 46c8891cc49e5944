"""Strategies: what spends a purse on questions. `STRATEGIES` names them all."""

from collections.abc import Callable

from bursar.errors import BadInput
from bursar.reason.adaptive_consistency import AdaptiveConsistency
from bursar.reason.auto import Auto
from bursar.reason.auto_streamed import AutoStreamed
from bursar.reason.base import Strategy
from bursar.reason.best_of_n import BestOfN
from bursar.reason.effort import EffortLadder
from bursar.reason.profile import Profile
from bursar.reason.revision import Revision
from bursar.reason.rounds import RoundRobin
from bursar.reason.self_consistency import SelfConsistency
from bursar.reason.single import Single
from bursar.reason.weighted_vote import WeightedVote

STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "single": lambda: RoundRobin("single", Single()),
    "self_consistency": lambda: RoundRobin("self_consistency", SelfConsistency()),
    "best_of_n": lambda: RoundRobin("best_of_n", BestOfN()),
    "weighted_vote": lambda: RoundRobin("weighted_vote", WeightedVote()),
    "adaptive_consistency": lambda: RoundRobin("adaptive_consistency", AdaptiveConsistency()),
    "revision": lambda: RoundRobin("revision", Revision()),
    "effort_ladder": lambda: RoundRobin("effort_ladder", EffortLadder()),
    "auto": Auto,
    "auto_streamed": AutoStreamed,
}
"""Name -> what makes the strategy."""


def strategy(name: str, *, worth: float | None = None, profile: Profile | None = None) -> Strategy:
    """The strategy called `name`; `worth` is for `auto`, `profile` for both autos.

    Raises `BadInput` with the names there are.
    """
    if name not in STRATEGIES:
        raise BadInput(f"unknown strategy {name!r}; choose one of {', '.join(STRATEGIES)}")
    if name == "auto":
        return Auto(worth, profile)
    return AutoStreamed(profile) if name == "auto_streamed" else STRATEGIES[name]()
