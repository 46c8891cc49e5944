"""What can be said of a half-finished attempt by the rules of its task alone, without the answer.

`RULES[task](question, lines)` gives how many of the first lines break no rule, and how many of
these may stand if the next one has no legal place: those before the last that bears on it.
A task that is not there has no rules that bind before the end.
"""

from collections.abc import Callable, Sequence

from bursar.reason.base import Attempt
from bursar.workload.tasks.base import Question
from bursar.workload.tasks.countdown import Countdown
from bursar.workload.tasks.sudoku4 import CELLS, PEERS, parse_prompt
from bursar.workload.tasks.verdicts import REVISE_MARKER, RIGHT

Rule = Callable[[Question, Sequence[str]], tuple[int, int]]


def written_lines(attempt: Attempt) -> list[str]:
    """The lines of an attempt without its verdict, also when it is called wrong."""
    body = attempt.text.removesuffix(RIGHT).removesuffix(REVISE_MARKER)
    lines = body.split(REVISE_MARKER)[-1].splitlines()
    if attempt.truncated and not body.endswith("\n"):
        lines = lines[:-1]  # cut in the middle of a line
    return [line for line in lines if line.strip()]


def _sudoku4(question: Question, lines: Sequence[str]) -> tuple[int, int]:
    """Each line fills a blank cell with a value that no cell of its units holds. What leaves a cell
    no value is among the lines that fill its units."""
    grid = parse_prompt(question.prompt)
    filled: list[int] = []
    for number, line in enumerate(lines):
        cell = CELLS.find(line[:1]) if len(line) == 2 and line[1] in "1234" else -1
        if cell < 0 or grid[cell]:
            return number, number
        peers = PEERS[cell]
        if int(line[1]) in (grid[peer] for peer in peers):
            return number, next((i for i in reversed(range(number)) if filled[i] in peers), number)
        grid[cell] = int(line[1])
        filled.append(cell)
    return len(lines), len(lines)


def _countdown(question: Question, lines: Sequence[str]) -> tuple[int, int]:
    """Each line is legal arithmetic on the numbers that are left; a slip blames no line before."""
    legal = Countdown().steps(question, "".join(line + "\n" for line in lines))
    number = next((i for i, fine in enumerate(legal) if not fine), len(legal))
    return number, number


RULES: dict[str, Rule] = {"sudoku4": _sudoku4, "countdown": _countdown}
