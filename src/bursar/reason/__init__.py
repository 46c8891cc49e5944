"""Strategies: what spends a purse on questions. `STRATEGIES` names them all."""

from collections.abc import Callable
from functools import partial

from bursar.errors import BadInput
from bursar.reason.adaptive_consistency import AdaptiveConsistency
from bursar.reason.auto import Auto
from bursar.reason.auto_streamed import AutoStreamed
from bursar.reason.base import Strategy
from bursar.reason.best_of_n import BestOfN
from bursar.reason.effort import EffortLadder
from bursar.reason.exits import EXITS, PosteriorVoting
from bursar.reason.parallel import Backtrack, SelectSearch
from bursar.reason.profile import Profile
from bursar.reason.revision import Revision
from bursar.reason.rounds import RoundRobin
from bursar.reason.search import SEARCHES, Beam, Lookahead, StepSearch, step_search
from bursar.reason.self_consistency import SelfConsistency
from bursar.reason.single import Single
from bursar.reason.split import Scale, SplitAndSolve
from bursar.reason.taxonomy import TAGS as TAGS
from bursar.reason.weighted_vote import WeightedVote

STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "single": lambda: RoundRobin("single", Single()),
    "self_consistency": lambda: RoundRobin("self_consistency", SelfConsistency()),
    "best_of_n": lambda: RoundRobin("best_of_n", BestOfN()),
    "weighted_vote": lambda: RoundRobin("weighted_vote", WeightedVote()),
    "adaptive_consistency": lambda: RoundRobin("adaptive_consistency", AdaptiveConsistency()),
    "posterior_voting": lambda: RoundRobin("posterior_voting", PosteriorVoting()),
    "revision": lambda: RoundRobin("revision", Revision()),
    **{name: partial(step_search, name) for name in SEARCHES},
    "tree_of_thoughts": lambda: StepSearch("tree_of_thoughts", Beam, Lookahead()),
    "backtrack": Backtrack,
    "select_search": SelectSearch,
    "scale": lambda: SplitAndSolve("scale", Scale()),
    "effort_ladder": lambda: RoundRobin("effort_ladder", EffortLadder()),
    "auto": Auto,
    "auto_search": lambda: Auto(searches=True, name="auto_search"),
    "auto_streamed": AutoStreamed,
}
"""Name -> what makes the strategy; `exits.EXITS` has those for models that can be steered."""

STEP_SEARCHES = (*SEARCHES, "tree_of_thoughts")
"""Those that buy single steps."""


def strategy(name: str, *, worth: float | None = None, profile: Profile | None = None) -> Strategy:
    """The strategy called `name`; `worth` is for `auto`, `profile` for both autos.

    Raises `BadInput` with the names there are.
    """
    if name in EXITS:
        return EXITS[name]()
    if name not in STRATEGIES:
        known = ", ".join([*STRATEGIES, *EXITS])
        raise BadInput(f"unknown strategy {name!r}; choose one of {known}")
    if name in ("auto", "auto_search"):
        return Auto(worth, profile, searches=name == "auto_search", name=name)
    return AutoStreamed(profile) if name == "auto_streamed" else STRATEGIES[name]()
