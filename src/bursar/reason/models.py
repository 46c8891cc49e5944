"""What a model can do besides answering: decode greedily, revise what it said, be scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bursar.reason.verifiers import Scorer, StepScorer


@dataclass(frozen=True, slots=True)
class Features:
    """`greedy`: temperature 0 means something. `stop`: with what it ends an attempt
    that it calls wrong itself. `revise`: what it said -> prefix of a new try."""

    greedy: bool = True
    stop: tuple[str, ...] = ()
    revise: Callable[[str], str] | None = None
    scorer: Scorer | None = None
    read: Callable[[str], str] | None = None
    """What to read the answer from, where it is not the text as said."""
    max_tokens: int | None = None
    """Room for an attempt that solves a question several times; None: the task's."""


_DIAL_TOKENS = 512


def features(name: str) -> Features:
    """What the model called `name` (or `name@effort`) offers strategies."""
    if name.startswith("tiny-"):
        from bursar.backends.tiny import tiny_dials
        from bursar.backends.tiny.dial import settled
        from bursar.backends.tiny.tokenizer import REVISE_MARKER, revised

        if name.partition("@")[0] in tiny_dials():
            return Features(read=settled, max_tokens=_DIAL_TOKENS)
        return Features(stop=(REVISE_MARKER,), revise=revised, scorer=StepScorer.load(name))
    if name.startswith(("replay", "simulated")):
        return Features(greedy=False)
    return Features(revise=_think_again)


def _think_again(said: str) -> str:
    return said.rstrip() + "\nWait, let me check this again from the start.\n"
