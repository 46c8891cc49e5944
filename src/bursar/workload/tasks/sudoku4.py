"""sudoku4: fill a 4x4 grid so that rows, columns and boxes hold 1-4; one cell per line.

    sudoku a1b_c_d4e_...
    b2
    c3
    ...
    right

Cells are a-p in reading order and blanks are written out (`_`): a model given only the filled
cells learnt nothing. One wrong cell ruins a grid, so that search means something.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from bursar.workload.tasks.base import Question
from bursar.workload.tasks.split import draw_questions
from bursar.workload.tasks.verdicts import current_lines

CELLS = "abcdefghijklmnop"
_FILL = re.compile(r"^([a-p])([1-4])$")
_GIVEN = re.compile(r"([a-p])([1-4_])")


def _box(cell: int) -> int:
    return cell // 8 * 2 + cell % 4 // 2


UNITS: tuple[tuple[int, ...], ...] = tuple(
    tuple(cell for cell in range(16) if key(cell) == k)
    for key in (lambda c: c // 4, lambda c: c % 4, _box)
    for k in range(4)
)
"""The 4 rows, 4 columns and 4 boxes, as cell numbers."""
PEERS: tuple[frozenset[int], ...] = tuple(
    frozenset(c for unit in UNITS if cell in unit for c in unit) - {cell} for cell in range(16)
)


@cache
def all_grids() -> NDArray[np.int8]:
    """All 288 solved grids, (288, 16), values 1-4."""
    rows = list(permutations(range(1, 5)))
    grids = [
        a + b + c + d
        for a in rows
        for b in rows
        if not set(a[:2]) & set(b[:2]) and all(x != y for x, y in zip(a, b, strict=True))
        for c in rows
        if all(len({x, y, z}) == 3 for x, y, z in zip(a, b, c, strict=True))
        for d in rows
        if valid(a + b + c + d)
    ]
    return np.array(grids, dtype=np.int8)


def valid(grid: Sequence[int]) -> bool:
    """Whether every unit of a full grid holds 1-4."""
    return all({grid[c] for c in unit} == {1, 2, 3, 4} for unit in UNITS)


def solutions(givens: Sequence[int]) -> int:
    """How many grids agree with `givens` (0 = blank)."""
    clues = np.asarray(givens, dtype=np.int8)
    return int(((all_grids() == clues) | (clues == 0)).all(axis=1).sum())


def draw_puzzle(rng: random.Random, blanks: int) -> tuple[list[int], list[int]]:
    """(givens with 0 for blank, solved grid) of a random puzzle with a unique solution."""
    grids = all_grids()
    while True:
        grid = grids[rng.randrange(len(grids))].tolist()
        givens = list(grid)
        for cell in rng.sample(range(16), blanks):
            givens[cell] = 0
        if solutions(givens) == 1:
            return givens, grid


def prompt_of(givens: Sequence[int]) -> str:
    """The prompt of a puzzle (0 = blank)."""
    return "sudoku " + "".join(f"{c}{v or '_'}" for c, v in zip(CELLS, givens, strict=True)) + "\n"


def parse_prompt(prompt: str) -> list[int]:
    """The givens of a prompt, 0 for blank."""
    return [0 if v == "_" else int(v) for _, v in _GIVEN.findall(prompt.removeprefix("sudoku "))]


@dataclass(frozen=True)
class Sudoku4:
    """The task set; level = number of blanks."""

    name: str = "sudoku4"
    verifiable: bool = True
    levels: tuple[str, ...] = ("6", "7", "8", "9", "10", "11")
    max_tokens: int = 36

    def draw(self, rng: random.Random, level: str) -> tuple[str, str, str, str]:
        """(distinct key, split key, prompt, solved grid): the split is by solved grid."""
        givens, grid = draw_puzzle(rng, int(level))
        solved = "".join(map(str, grid))
        prompt = prompt_of(givens)
        return prompt, solved, prompt, solved

    def generate(
        self, count: int, *, seed: int, split: str = "test", levels: Sequence[str] | None = None
    ) -> list[Question]:
        """See `Task.generate`."""
        return draw_questions(
            self.name, self.draw, count, seed=seed, split=split, levels=levels, known=self.levels
        )

    def extract(self, question: Question, text: str) -> str | None:
        """The filled grid (16 digits), if the last attempt fills every blank exactly once."""
        return _fill(parse_prompt(question.prompt), current_lines(text))

    def check(self, question: Question, answer: str | None) -> bool:
        """Whether `answer` is a valid grid that agrees with the givens."""
        if answer is None or len(answer) != 16 or not set(answer) <= set("1234"):
            return False
        grid = [int(v) for v in answer]
        givens = parse_prompt(question.prompt)
        return valid(grid) and all(g in (0, v) for g, v in zip(givens, grid, strict=True))

    def steps(self, question: Question, text: str) -> list[bool]:
        """For each line of the last attempt, whether the grid can still be solved after it."""
        grid = parse_prompt(question.prompt)
        labels, alive = [], True
        for line in current_lines(text):
            fill = _FILL.match(line)
            if fill is None or grid[CELLS.index(fill[1])]:
                alive = False
            else:
                grid[CELLS.index(fill[1])] = int(fill[2])
            alive = alive and solutions(grid) > 0
            labels.append(alive)
        return labels


def _fill(givens: Sequence[int], lines: Sequence[str]) -> str | None:
    grid = list(givens)
    for line in lines:
        fill = _FILL.match(line)
        if fill is None or grid[CELLS.index(fill[1])]:
            return None
        grid[CELLS.index(fill[1])] = int(fill[2])
    return "".join(map(str, grid)) if all(grid) else None
