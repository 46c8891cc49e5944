"""countdown: reach the target with every number once; a step per line; exactly checkable.

    countdown 3,7,12=81
    12*7=84>3,84
    84-3=81
    right

Finding a solution is hard and checking one is easy, so that verification means something.
"""

import ast
import operator
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from bursar.workload.tasks.base import Question
from bursar.workload.tasks.split import draw_questions
from bursar.workload.tasks.verdicts import current_lines

LARGEST = 99
_STEP = re.compile(r"^(\d+)([-+*/])(\d+)=(\d+)(?:>([\d,]+))?$")
_OPS: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_NODES = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


@dataclass(frozen=True, slots=True)
class Step:
    """One line: `left op right = result > remaining` (larger operand first)."""

    left: int
    op: str
    right: int
    result: int
    remaining: tuple[int, ...]

    @property
    def choice(self) -> str:
        """What is chosen: `12*7`."""
        return f"{self.left}{self.op}{self.right}"

    @property
    def outcome(self) -> str:
        """What follows from it: `=84>3,84` and the end of the line."""
        rest = ">" + ",".join(map(str, self.remaining)) if len(self.remaining) > 1 else ""
        return f"={self.result}{rest}\n"


def apply(left: int, op: str, right: int) -> int | None:
    """`left op right`, None when it is not a whole number from 0 to 99."""
    if op == "/":
        return left // right if right and left % right == 0 else None
    result = left + right if op == "+" else left - right if op == "-" else left * right
    return result if 0 <= result <= LARGEST else None


def playout(rng: random.Random, numbers: Sequence[int]) -> list[Step]:
    """Random legal steps until one number is left."""
    left = list(numbers)
    steps = []
    while len(left) > 1:
        i, j = rng.sample(range(len(left)), 2)
        a, b = max(left[i], left[j]), min(left[i], left[j])
        op = rng.choice("+-*/")
        result = apply(a, op, b)
        if result is None:
            continue
        left = [n for k, n in enumerate(left) if k not in (i, j)] + [result]
        steps.append(Step(a, op, b, result, tuple(left)))
    return steps


def parse_prompt(prompt: str) -> tuple[list[int], int]:
    """(numbers, target)."""
    numbers, target = prompt.strip().removeprefix("countdown ").split("=")
    return [int(n) for n in numbers.split(",")], int(target)


Tree = int | tuple[str, "Tree", "Tree"]


def canonical(tree: Tree) -> str:
    """An expression's text, equal for trees that differ only by order and grouping.

    Sums and differences become one sorted list of signed terms, products and quotients one sorted
    list of factors and divisors.
    """
    return _text(tree)[0]


def _text(tree: Tree) -> tuple[str, bool]:
    """(text, whether it is a sum)."""
    if isinstance(tree, int):
        return str(tree), False
    additive = tree[0] in "+-"
    plus: list[str] = []
    minus: list[str] = []
    for part, positive in _parts(tree, "+-" if additive else "*/", True):
        text, is_sum = _text(part)
        (plus if positive else minus).append(f"({text})" if is_sum else text)
    glue, anti = ("+", "-") if additive else ("*", "/")
    head = glue.join(sorted(plus))
    return head + "".join(anti + m for m in sorted(minus)), additive


def _parts(tree: Tree, ops: str, positive: bool) -> list[tuple[Tree, bool]]:
    if isinstance(tree, int) or tree[0] not in ops:
        return [(tree, positive)]
    op, left, right = tree
    return _parts(left, ops, positive) + _parts(right, ops, positive == (op == ops[0]))


def evaluate(expression: str) -> tuple[Fraction, list[int]] | None:
    """(exact value, numbers used) of + - * / and brackets over whole numbers, else None."""
    try:
        tree = _tree(ast.parse(expression, mode="eval").body)
        return None if tree is None else _value(tree)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def _tree(node: ast.AST) -> Tree | None:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in _NODES:
        left, right = _tree(node.left), _tree(node.right)
        return None if left is None or right is None else (_NODES[type(node.op)], left, right)
    return None


def _value(tree: Tree) -> tuple[Fraction, list[int]]:
    if isinstance(tree, int):
        return Fraction(tree), [tree]
    (left, used), (right, more) = _value(tree[1]), _value(tree[2])
    return _OPS[tree[0]](left, right), used + more


@dataclass(frozen=True)
class Countdown:
    """The task set; level = how many numbers."""

    name: str = "countdown"
    verifiable: bool = True
    levels: tuple[str, ...] = ("3", "4", "5")
    max_tokens: int = 48

    def draw(self, rng: random.Random, level: str) -> tuple[str, str, str, None]:
        """(distinct key, split key, prompt, no reference) of a random solvable question."""
        numbers, steps = draw_solved(rng, int(level))
        form = canonical_prompt(numbers, steps[-1].result)
        return form, form, f"countdown {','.join(map(str, numbers))}={steps[-1].result}\n", None

    def generate(
        self, count: int, *, seed: int, split: str = "test", levels: Sequence[str] | None = None
    ) -> list[Question]:
        """See `Task.generate`."""
        return draw_questions(
            self.name, self.draw, count, seed=seed, split=split, levels=levels, known=self.levels
        )

    def extract(self, question: Question, text: str) -> str | None:
        """The expression that the last attempt's steps build, in canonical form.

        A plain expression (`12*7-3`, with or without `= 81`) on the last line is read too. What the
        model claims for a step's result does not matter: `check` evaluates the expression. None for
        an attempt that is unfinished or called wrong.
        """
        return _expression(parse_prompt(question.prompt)[0], current_lines(text))

    def check(self, question: Question, answer: str | None) -> bool:
        """Whether `answer` uses exactly the question's numbers and equals the target."""
        numbers, target = parse_prompt(question.prompt)
        result = None if answer is None else evaluate(answer)
        return result is not None and result[0] == target and sorted(result[1]) == sorted(numbers)

    def steps(self, question: Question, text: str) -> list[bool]:
        """For each line of the last attempt, whether it is legal arithmetic on what is left."""
        left, _ = parse_prompt(question.prompt)
        labels = []
        for line in current_lines(text):
            step = _STEP.match(line)
            labels.append(step is not None and _legal(left, step))
            if step is not None:
                left = [int(n) for n in (step[5] or step[4]).split(",") if n]
        return labels


def _legal(left: list[int], step: re.Match[str]) -> bool:
    rest = list(left)
    try:
        rest.remove(int(step[1]))
        rest.remove(int(step[3]))
    except ValueError:
        return False
    result = int(step[4])
    stated = [int(n) for n in (step[5] or step[4]).split(",") if n]
    legal = apply(int(step[1]), step[2], int(step[3])) == result
    return legal and sorted(stated) == sorted([*rest, result])


def canonical_prompt(numbers: Sequence[int], target: int) -> str:
    """Equal for questions that differ only in the order of the numbers."""
    return f"{','.join(map(str, sorted(numbers)))}={target}"


def draw_solved(rng: random.Random, size: int) -> tuple[list[int], list[Step]]:
    """Random numbers and steps that reach a target from 10 to 99: a question with a solution."""
    while True:
        numbers = [rng.randint(1, 20) for _ in range(size)]
        steps = playout(rng, numbers)
        if 10 <= steps[-1].result <= LARGEST:
            return numbers, steps


def _expression(numbers: Sequence[int], lines: Sequence[str]) -> str | None:
    """The canonical expression of one attempt, None unless its steps use up the numbers."""
    lines = [line.replace(" ", "") for line in lines]
    if not lines:
        return None
    pool: list[tuple[int, Tree]] = [(n, n) for n in numbers]
    for line in lines:
        step = _STEP.match(line)
        left = None if step is None else _take(pool, int(step[1]))
        right = None if step is None else _take(pool, int(step[3]))
        if step is None or left is None or right is None:
            return None if ">" in "".join(lines) else _plain(lines[-1])
        pool.append((int(step[4]), (step[2], left, right)))
    return canonical(pool[0][1]) if len(pool) == 1 else None


def _take(pool: list[tuple[int, Tree]], number: int) -> Tree | None:
    for i, (value, tree) in enumerate(pool):
        if value == number:
            del pool[i]
            return tree
    return None


def _plain(line: str) -> str | None:
    """A bare expression, when it has an operator and only whole numbers."""
    try:
        tree = _tree(ast.parse(line.split("=")[0], mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return None if tree is None or isinstance(tree, int) else canonical(tree)
