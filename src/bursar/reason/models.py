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


def features(name: str) -> Features:
    """What the model called `name` offers strategies."""
    if name.startswith(("tiny-", "speculative:")):
        from bursar.backends.tiny.tokenizer import REVISE_MARKER, revised

        # by its name, so that there is none for two models: they hand back no hidden states
        return Features(stop=(REVISE_MARKER,), revise=revised, scorer=StepScorer.load(name))
    if name.startswith(("replay", "simulated")):
        return Features(greedy=False)
    return Features(revise=_think_again)


def _think_again(said: str) -> str:
    return said.rstrip() + "\nWait, let me check this again from the start.\n"
