"""Chains in parts: each product is a sub-problem, then the sum of what they came to.

Products are routine for the built-in models, long sums are what they get wrong: a chain is a row of
steps of mixed difficulty. The same sum or product with its operands in another order is another
path to the same value, so that voting works even without sampling noise.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from bursar.errors import BadInput
from bursar.reason.split.base import Division, Part, escaped
from bursar.reason.workbench import Workbench
from bursar.workload.tasks import chain
from bursar.workload.tasks.base import Question

PRODUCT_ERRORS = (0.0, 0.0, 0.0, 0.007, 0.037, 0.037, 0.093, 0.133)
SUM_ERRORS = (0.053, 0.107, 0.12, 0.133, 0.197, 0.22, 0.367, 0.427)
"""Share of wrong answers by number of operations: tiny-0.3m, greedy, 300 training chains each."""

Term = tuple[str, list[str]]
"""Sign, and the operands of a product."""


@dataclass(frozen=True, slots=True)
class ChainSplitter:
    """Parts of at most `most` operations: the products, then partial sums from left to right.

    A part's stated difficulty is how often one greedy attempt of the smallest built-in model was
    wrong on training chains of its kind and length.
    """

    most: int = 6

    def __post_init__(self) -> None:
        if not 1 <= self.most <= len(SUM_ERRORS):
            raise BadInput(f"most is {self.most}: take 1 to {len(SUM_ERRORS)} operations in a part")

    async def split(self, questions: Sequence[Question], bench: Workbench) -> list[Division]:
        """See `Splitter.split`; asks nobody. What is not a chain is one part."""
        return [Division(self.parts(question.prompt)) for question in questions]

    def parts(self, prompt: str) -> tuple[Part, ...]:
        """The parts of a chain prompt."""
        pieces = chain.parse(prompt.removeprefix("chain ").strip())
        if pieces is None:
            return (Part(escaped(prompt)),)
        parts: list[Part] = []
        summands = [sign + self._product(factors, parts) for sign, factors in terms(pieces)]
        whole = summands[0][1:]
        added = 0
        for summand in summands[1:]:
            if added == self.most:
                parts.append(self._part(whole))
                whole, added = f"{{{len(parts) - 1}}}", 0
            whole, added = whole + summand, added + 1
        if not parts and not added:
            return (Part(prompt),)
        return (*parts, self._part(whole)) if added else tuple(parts)

    def phrasing(self, prompt: str, index: int) -> str:
        """The chain with factors and terms in another order, drawn from (prompt, index)."""
        pieces = chain.parse(prompt.removeprefix("chain ").strip())
        if index == 0 or pieces is None:
            return prompt
        rng = random.Random(f"{prompt}/{index}")
        shuffled = [(sign, rng.sample(factors, len(factors))) for sign, factors in terms(pieces)]
        rng.shuffle(shuffled)
        first = next(i for i, (sign, _) in enumerate(shuffled) if sign == "+")
        shuffled.insert(0, shuffled.pop(first))
        return "chain " + "".join(sign + "*".join(factors) for sign, factors in shuffled)[1:] + "\n"

    def _product(self, factors: list[str], parts: list[Part]) -> str:
        """How a later part names this product; adds the parts that compute it."""
        while len(factors) > 1:
            head, factors = factors[: self.most + 1], factors[self.most + 1 :]
            parts.append(self._part("*".join(head)))
            factors = [f"{{{len(parts) - 1}}}", *factors]
        return factors[0]

    def _part(self, expression: str) -> Part:
        products = expression.count("*")
        sums = expression.count("+") + expression.count("-")
        difficulty = PRODUCT_ERRORS[products - 1] if products else SUM_ERRORS[sums - 1]
        needs = tuple(int(piece.split("}")[0]) for piece in expression.split("{")[1:])
        lines = products + sums
        tokens = lines**2 + 9 * lines + 6  # each line restates what is left
        return Part(f"chain {expression}\n", needs, difficulty, tokens)


def terms(pieces: Sequence[str]) -> list[Term]:
    """The signed products of an expression; the first has the sign ``+``."""
    found: list[Term] = [("+", [pieces[0]])]
    for op, operand in zip(pieces[1::2], pieces[2::2], strict=True):
        if op == "*":
            found[-1][1].append(operand)
        else:
            found.append((op, [operand]))
    return found
