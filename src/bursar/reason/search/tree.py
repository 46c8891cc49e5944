"""The tree of a question's partial solutions, as every step search grows it.

A step is what a model says up to a delimiter (a line, for the built-in models). The backend holds
the texts that may still be gone on from, each beginning once; a node that nobody asked to hold
loses its state, but not its place in the tree.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bursar.backends.base import Kept
from bursar.reason.base import Pick
from bursar.reason.self_consistency import vote
from bursar.usage import Usage
from bursar.workload.tasks.base import Question

Floats = NDArray[np.float32]


@dataclass(slots=True, eq=False)
class Node:
    """A partial solution: `text` is all that was said, `tokens` those of its own last step (of the
    prompt, at the root). `score` in [0, 1] is a judge's, None before it was asked. An `ended` node
    has no children: its text is a whole solution, with its `answer` if it states one.
    """

    parent: Node | None
    text: str
    tokens: int
    logprob: float
    hidden: Floats | None = None
    kept: Kept | None = None
    score: float | None = None
    ended: bool = False
    answer: str | None = None
    verified: bool | None = None
    depth: int = field(init=False)

    def __post_init__(self) -> None:
        self.depth = 0 if self.parent is None else self.parent.depth + 1

    @property
    def value(self) -> float:
        """The score, 0 where no judge could tell."""
        return self.score or 0.0

    def path(self) -> list[Node]:
        """From the root to this node."""
        nodes = [self]
        while nodes[-1].parent is not None:
            nodes.append(nodes[-1].parent)
        return nodes[::-1]


class Moves(NamedTuple):
    """What a search wants next: children (how many) of some nodes, and which others to hold."""

    grow: Sequence[tuple[Node, int]]
    hold: Sequence[Node] = ()


Growth = Generator[Moves, list[Node], None]
"""Yields moves and is sent the judged children, in the order asked; ends when it has enough."""


class Search(Protocol):
    """A way to grow one tree. Pure but for `rng`: the same children, the same moves."""

    def grow(self, root: Node, rng: np.random.Generator) -> Growth:
        """Grow from `root` until there is nothing worth growing."""
        ...

    def pick(self, ended: Sequence[Node]) -> Pick:
        """The answer to give, of the solutions that there are."""
        ...


@dataclass(slots=True)
class Tree:
    """One question's search and its account.

    `kept_tokens` is, after each round, how many tokens' keys and values the texts to go on from
    hold, the prompt's too, each beginning counted once; `kept_steps` is the same in nodes.
    """

    question: Question
    root: Node | None = None
    ended: list[Node] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage.zero)
    kept_tokens: list[int] = field(default_factory=list)
    kept_steps: list[int] = field(default_factory=list)
    judged: int = 0
    """Steps that a judge was asked about."""
    asked: int = 0
    """Children asked for, which numbers their draws."""
    stopped: str = ""

    @property
    def verified(self) -> Node | None:
        """A solution that the exact checker accepted."""
        return next((n for n in self.ended if n.verified), None)

    def note_kept(self, held: Iterable[Node]) -> None:
        """Note what is held for `held` and all that they went on from."""
        nodes = {node for leaf in held for node in leaf.path()}
        self.kept_steps.append(len(nodes))
        self.kept_tokens.append(sum(node.tokens for node in nodes))


def live(nodes: Iterable[Node]) -> list[Node]:
    """Those that have not ended."""
    return [node for node in nodes if not node.ended]


def weighted(ended: Sequence[Node]) -> Pick:
    """The answer with the largest sum of scores, and its share of them; ties to the first found."""
    return vote(ended, [node.value for node in ended])


def best(ended: Sequence[Node]) -> Pick:
    """The answer of the best scored solution; ties to the first found."""
    answered = [node for node in ended if node.answer is not None]
    if not answered:
        return Pick(None, None)
    top = max(answered, key=lambda node: node.value)
    return Pick(top.answer, top.score)
