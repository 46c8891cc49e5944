"""Simulated trees of steps with a noisy judge: searches compared over many questions and seeds.

A question has several approaches, of which the first step chooses one. A step keeps a sound
solution sound with a chance that depends on the question and its approach; a solution is right when
every step was. The judge's logit is off by a draw that all steps of an approach share (it
misjudges approaches as a whole) and by one of each step's own. Hidden states show the approach.
"""

from dataclasses import dataclass, field

import numpy as np

from bursar.reason.search.tree import Moves, Node, Search, Tree
from bursar.workload.tasks.base import Question

TOKENS = 10


@dataclass
class Simulated:
    """One question: `depth` steps, `approaches`; `shared` and `own`: the judge's two noises."""

    seed: int
    depth: int = 6
    approaches: int = 6
    shared: float = 1.0
    own: float = 1.0
    knows: bool = True
    """False is the control: scores that know nothing."""
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        hard = self.rng.uniform(0.35, 0.8)
        self.keeps = np.clip(hard + self.rng.normal(0, 0.2, self.approaches), 0.05, 0.97)
        self.bias = self.rng.normal(0, self.shared, self.approaches)
        self.sound: dict[Node, bool] = {}
        self.approach: dict[Node, int] = {}

    def search(self, search: Search, most_tokens: float = np.inf) -> tuple[Tree, bool]:
        """The tree that `search` grows within `most_tokens`, and whether its answer is right."""
        tree = Tree(Question(str(self.seed), "simulated", ""), Node(None, "", 2 * TOKENS, 0.0))
        growth = search.grow(tree.root, self.rng)
        moves = next(growth)
        spent = 0
        while moves:
            tree.note_kept([*(node for node, _ in moves.grow), *moves.hold])
            children = self.children(moves)
            spent += TOKENS * len(children)
            if spent > most_tokens:
                break
            tree.judged += len(children)
            tree.asked += len(children)
            tree.ended += [child for child in children if child.ended]
            try:
                moves = growth.send(children)
            except StopIteration:
                break
        return tree, search.pick(tree.ended).answer == "right"

    def children(self, moves: Moves) -> list[Node]:
        """What a search asked for, in order."""
        return [self.child(node) for node, count in moves.grow for _ in range(count)]

    def child(self, parent: Node) -> Node:
        """One more step after `parent`."""
        rng = self.rng
        first = parent.parent is None
        approach = int(rng.integers(self.approaches)) if first else self.approach[parent]
        sound = (first or self.sound[parent]) and rng.random() < self.keeps[approach]
        node = Node(parent, f"{parent.text}{rng.integers(10**6)};", TOKENS, 0.0)
        self.sound[node], self.approach[node] = sound, approach
        node.hidden = np.eye(self.approaches, dtype=np.float32)[approach]
        logit = (2.0 if sound else -2.0) * self.knows + self.bias[approach]
        node.score = float(1 / (1 + np.exp(-logit - self.own * rng.normal())))
        node.ended = node.depth == self.depth
        if node.ended:
            node.answer = "right" if sound else f"wrong {approach} {rng.integers(3)}"
        return node


@dataclass(frozen=True)
class Outcome:
    """Means over questions: share right, tokens said, steps judged, KV tokens held by round."""

    accuracy: float
    tokens: float
    judged: float
    kept: float


def outcome(make, seed: int, questions: int = 150, most_tokens: float = np.inf, **world) -> Outcome:
    """What the search that `make()` gives does on `questions` trees."""
    rows = []
    for i in range(questions):
        tree, right = Simulated(seed * 10_000 + i, **world).search(make(), most_tokens)
        rows.append((right, TOKENS * tree.asked, tree.judged, np.mean(tree.kept_tokens)))
    return Outcome(*np.mean(rows, axis=0).tolist())
