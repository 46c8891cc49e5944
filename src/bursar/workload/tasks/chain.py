"""chain: an arithmetic chain modulo 97, reduced one adjacent pair per line, in any legal order.

    chain 37*54+53
    37*54=58>58+53
    58+53=14
    #14
    right

Many paths and one answer, so that voting means something. Nothing in the answer proves it right:
`check` compares with the reference and only grades. Each line names its pair before the result: a
model of this size that had to write the reduced chain alone learnt no arithmetic in 13M tokens.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bursar.workload.tasks.base import Question
from bursar.workload.tasks.split import draw_questions
from bursar.workload.tasks.verdicts import current_lines

MODULUS = 97
_PIECE = re.compile(r"\d+|[-+*]")
_ANSWER = re.compile(r"#\s*(-?\d+)\s*(?:\n|$)")


def value(expression: Sequence[str]) -> int:
    """The value modulo 97 of operands and operators in turn, with the usual precedence."""
    total, sign, product = 0, 1, int(expression[0])
    for op, operand in zip(expression[1::2], expression[2::2], strict=True):
        if op == "*":
            product = product * int(operand) % MODULUS
        else:
            total, sign, product = total + sign * product, 1 if op == "+" else -1, int(operand)
    return (total + sign * product) % MODULUS


def legal_pairs(expression: Sequence[str]) -> list[int]:
    """Places of the operators that may be reduced next without changing the value.

    A product always may. A sum or difference may unless a product takes one of its operands, or a
    minus stands before it (`9-4+3` is not `9-7`).
    """
    last = len(expression) - 2
    return [
        i
        for i in range(1, len(expression), 2)
        if expression[i] == "*"
        or (
            (i == last or expression[i + 2] != "*")
            and (i == 1 or expression[i - 2] not in ("*", "-"))
        )
    ]


def reduce_pair(expression: Sequence[str], place: int) -> list[str]:
    """`expression` with the pair around the operator at `place` replaced by its value."""
    result = value(expression[place - 1 : place + 2])
    return [*expression[: place - 1], str(result), *expression[place + 2 :]]


def canonical(expression: Sequence[str]) -> str:
    """Equal for chains that differ only in the order of factors and of terms."""
    terms: list[tuple[str, list[str]]] = [("+", [expression[0]])]
    for op, operand in zip(expression[1::2], expression[2::2], strict=True):
        if op == "*":
            terms[-1][1].append(operand)
        else:
            terms.append((op, [operand]))
    return "".join(sorted(sign + "*".join(sorted(factors)) for sign, factors in terms))


def parse(text: str) -> list[str] | None:
    """Operands and operators in turn of an expression, None when it is not one."""
    pieces = _PIECE.findall(text)
    well_formed = (
        len(pieces) % 2 == 1
        and "".join(pieces) == text
        and all(p.isdigit() == (i % 2 == 0) for i, p in enumerate(pieces))
    )
    return pieces if well_formed else None


def line_of(expression: Sequence[str], place: int) -> str:
    """The line that reduces the pair around the operator at `place`, without its newline."""
    after = reduce_pair(expression, place)
    line = "".join(expression[place - 1 : place + 2]) + "=" + after[place - 1]
    return line + ">" + "".join(after) if len(after) > 1 else line


def step_ok(before: str, line: str) -> bool:
    """Whether `line` reduces one legal pair of the expression `before` (or states it: `#7`)."""
    old = parse(before)
    if old is None:
        return False
    if len(old) == 1:
        return line == "#" + old[0]
    return any(line_of(old, place) == line for place in legal_pairs(old))


def draw_expression(rng: random.Random, operations: int) -> list[str]:
    """A random chain: operands 2-96, operators mostly products."""
    pieces = [str(rng.randint(2, 96))]
    for op in rng.choices("*+-", (0.6, 0.25, 0.15), k=operations):
        pieces += (op, str(rng.randint(2, 96)))
    return pieces


@dataclass(frozen=True)
class Chain:
    """The task set; level = number of operations."""

    name: str = "chain"
    verifiable: bool = False
    levels: tuple[str, ...] = ("1", "2", "3", "4", "5", "6", "7", "8")
    max_tokens: int = 128

    def draw(self, rng: random.Random, level: str) -> tuple[str, str, str, str]:
        """(distinct key, split key, prompt, answer) of a random question."""
        pieces = draw_expression(rng, int(level))
        form = canonical(pieces)
        return form, form, f"chain {''.join(pieces)}\n", str(value(pieces))

    def generate(
        self, count: int, *, seed: int, split: str = "test", levels: Sequence[str] | None = None
    ) -> list[Question]:
        """See `Task.generate`."""
        return draw_questions(
            self.name, self.draw, count, seed=seed, split=split, levels=levels, known=self.levels
        )

    def extract(self, question: Question, text: str) -> str | None:
        """The number after `#` in the last attempt, modulo 97; None if it is called wrong."""
        stated = _ANSWER.findall("\n".join(current_lines(text)))
        return str(int(stated[-1]) % MODULUS) if stated else None

    def check(self, question: Question, answer: str | None) -> bool:
        """Whether `answer` equals the reference; False when there is none."""
        return answer is not None and answer == question.answer

    def steps(self, question: Question, text: str) -> list[bool]:
        """For each line of the last attempt, whether it follows exactly from the line before."""
        before = question.prompt.removeprefix("chain ").strip()
        labels = []
        for line in current_lines(text):
            labels.append(step_ok(before, line))
            before = re.split("[=>]", line)[-1]
        return labels
