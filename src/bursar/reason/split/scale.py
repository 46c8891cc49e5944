"""SCALE: sub-problems rated easy are solved once, those rated hard get many attempts and a vote.

Paper: Yang Xiao, Chunpu Xu, Ruifeng Yuan, Jiashuo Wang, Wenjie Li, Pengfei Liu, "SCALE: Selective
    Resource Allocation for Overcoming Performance Bottlenecks in Mathematical Test-time Scaling",
    2025, arXiv:2512.00466; its four stages: decompose, assess difficulty, choose the mode, execute
    in order with context.
Symbols: System 1 -> easy; System 2 -> hard; difficulty threshold -> threshold.
Differs: System 2 is a vote over several attempts, there a model that thinks longer; an attempt says
    the sub-problem otherwise where the splitter knows how, else it is a fresh sample. Chains are
    divided by rule and rated by measured errors; a prompted model divides and rates anything else.
Checked: tests/papers/test_scale.py: on chains of 16 operations within a point of all-hard accuracy
    with at most 67 % of its tokens; beats equal attempts everywhere at equal tokens; with ratings
    by chance the gain is gone.
Seed: 4
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bursar.errors import BadInput
from bursar.reason.split.base import Part

Rater = Callable[[Part, str], float]
"""(part, the name of its place in the run) -> difficulty in [0, 1]."""


def _by_chance(part: Part, place: str) -> float:
    digest = hashlib.blake2b(place.encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


RATERS: dict[str, Rater] = {
    "stated": lambda part, place: part.difficulty,
    "all_easy": lambda part, place: 0.0,
    "all_hard": lambda part, place: 1.0,
    "by_chance": _by_chance,
}
"""Who rates difficulty: the splitter, or one of the controls. ``all_hard`` spends uniformly."""


@dataclass(frozen=True, slots=True)
class Scale:
    """`easy` attempts on a part rated up to `threshold`, `hard` ones on any above it."""

    rater: str = "stated"
    threshold: float = 0.03
    easy: int = 1
    hard: int = 5

    def __post_init__(self) -> None:
        if self.rater not in RATERS:
            raise BadInput(f"rater {self.rater!r} is not known; use one of {', '.join(RATERS)}")
        if not 1 <= self.easy <= self.hard:
            raise BadInput(f"easy {self.easy}, hard {self.hard}: need 1 <= easy <= hard")

    def attempts(self, question_id: str, parts: Sequence[Part]) -> list[int]:
        """See `Effort.attempts`."""
        rate = RATERS[self.rater]
        return [
            self.hard if rate(part, f"{question_id}/{index}") > self.threshold else self.easy
            for index, part in enumerate(parts)
        ]
