"""What a model can do besides answering: decode greedily, revise or judge what was said, be
scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bursar.reason.verifiers import Scorer, StepScorer
from bursar.workload.tasks.verdicts import without_verdict


@dataclass(frozen=True, slots=True)
class Features:
    """`greedy`: temperature 0 means something. `stop`: with what it ends an attempt
    that it calls wrong itself. `revise`: what it said -> prefix of a new try. `judge`: what was
    said -> prefix after which it says `right` or `wrong`."""

    greedy: bool = True
    stop: tuple[str, ...] = ()
    revise: Callable[[str], str] | None = None
    scorer: Scorer | None = None
    judge: Callable[[str], str] | None = None


def features(name: str) -> Features:
    """What the model called `name` offers strategies."""
    if name.startswith("tiny-"):
        from bursar.backends.tiny.tokenizer import REVISE_MARKER, revised

        scorer = StepScorer.load(name)
        return Features(True, (REVISE_MARKER,), revised, scorer, judge=without_verdict)
    if name.startswith(("replay", "simulated")):
        return Features(greedy=False)
    return Features(revise=_think_again, judge=_is_it_right)


def _think_again(said: str) -> str:
    return said.rstrip() + "\nWait, let me check this again from the start.\n"


def _is_it_right(said: str) -> str:
    return said.rstrip() + "\n\nIs the answer above right or wrong? In one word: "
