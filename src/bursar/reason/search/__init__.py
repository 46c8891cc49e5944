"""Search on steps: one driver, and small tables that say which partial solution to go on from."""

from collections.abc import Callable

from bursar.reason.search.a_star import AStar
from bursar.reason.search.beam import Beam
from bursar.reason.search.driver import StepSearch
from bursar.reason.search.ets import Ets
from bursar.reason.search.judges import AtHand, Judge, Lookahead, Noisy, Random, Rules
from bursar.reason.search.mcts import Mcts
from bursar.reason.search.particles import Particles
from bursar.reason.search.rebase import Rebase
from bursar.reason.search.tree import Growth, Moves, Node, Search, Tree

SEARCHES: dict[str, Callable[[int], Search]] = {
    "beam": Beam,
    "dvts": lambda width: Beam(width, apart=None),
    "rebase": Rebase,
    "ets": Ets,
    "a_star": lambda width: AStar(8 * width),
    "mcts": lambda width: Mcts(8 * width),
    "particles": Particles,
}
"""Name -> what makes the search of a question, for about so many solutions."""


def step_search(name: str, judge: Judge | None = None, width: int | None = None) -> StepSearch:
    """The strategy that searches by `SEARCHES[name]`."""
    return StepSearch(name, SEARCHES[name], judge or AtHand(), width)


__all__ = [
    "SEARCHES", "AStar", "AtHand", "Beam", "Ets", "Growth", "Judge", "Lookahead", "Mcts", "Moves",
    "Node", "Noisy", "Particles", "Random", "Rebase", "Rules", "Search", "StepSearch", "Tree",
    "step_search",
]  # fmt: skip
