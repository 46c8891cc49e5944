"""What splitting is: a question falls into ordered parts, later ones using earlier results.

A `Part` is a sub-problem as a prompt with places for results, a `Splitter` makes them. How much to
spend on which part is the strategy's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bursar.reason.workbench import Workbench
from bursar.usage import Usage
from bursar.workload.tasks.base import Question


@dataclass(frozen=True, slots=True)
class Part:
    """One sub-problem. `template` names earlier parts' results as ``{0}``, ``{1}``, ...

    `difficulty` in [0, 1] is what the splitter thinks of it before anyone has tried, `tokens` about
    what one attempt uses, `needs` are the places of the parts whose results it uses.
    """

    template: str
    needs: tuple[int, ...] = ()
    difficulty: float = 0.5
    tokens: float = 1.0

    def prompt(self, results: Sequence[str | None]) -> str:
        """The prompt once the needed results are known; others may be None."""
        return self.template.format(*results)


@dataclass(frozen=True, slots=True)
class Division:
    """The parts of a question in an order in which they can be solved, and what finding them used.

    A question that can't be divided is one part; one that the purse did not cover has none.
    """

    parts: tuple[Part, ...]
    usage: Usage = field(default_factory=Usage.zero)


class Splitter(Protocol):
    """Divides questions into parts; the last part's result answers the question."""

    async def split(self, questions: Sequence[Question], bench: Workbench) -> list[Division]:
        """The parts of each question. Whatever it asks a model goes through the bench's purse."""
        ...

    def phrasing(self, prompt: str, index: int) -> str:
        """`prompt` said otherwise, with the same answer; index 0 is the prompt itself.

        A splitter that knows no other way hands it back unchanged.
        """
        ...


def escaped(text: str) -> str:
    """`text` as part of a template: its own braces stay braces."""
    return text.replace("{", "{{").replace("}", "}}")
