"""What a model can do besides answering: decode greedily, revise or judge what was said, be
scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bursar.reason.purse import Purse
from bursar.reason.verifiers import Scorer, StepScorer
from bursar.reason.workbench import Workbench
from bursar.workload.tasks.base import Task
from bursar.workload.tasks.verdicts import without_verdict


@dataclass(frozen=True, slots=True)
class Features:
    """`greedy`: temperature 0 means something. `stop`: with what it ends an attempt
    that it calls wrong itself. `revise`: what it said -> prefix of a new try. `judge`: what was
    said -> prefix after which it says `right` or `wrong`. `keeps`: it holds texts to go on from
    (`Request.keep`). `step`: with what it ends a step; None: it can't be asked for steps."""

    greedy: bool = True
    stop: tuple[str, ...] = ()
    revise: Callable[[str], str] | None = None
    scorer: Scorer | None = None
    judge: Callable[[str], str] | None = None
    keeps: bool = False
    step: str | None = None
    read: Callable[[str], str] | None = None
    """What to read the answer from, where it is not the text as said."""
    max_tokens: int | None = None
    """Room for an attempt that solves a question several times; None: the task's."""


_DIAL_TOKENS = 512


def features(name: str) -> Features:
    """What the model called `name` (or `name@effort`) offers strategies."""
    if name.startswith(("tiny-", "speculative:")):
        from bursar.backends.tiny import tiny_dials
        from bursar.backends.tiny.dial import settled
        from bursar.backends.tiny.tokenizer import REVISE_MARKER, revised

        if name.partition("@")[0] in tiny_dials():
            return Features(read=settled, max_tokens=_DIAL_TOKENS)
        # two models hand back no hidden states to score, and keep no text to go on from
        return Features(
            stop=(REVISE_MARKER,),
            revise=revised,
            scorer=StepScorer.load(name),
            judge=without_verdict,
            keeps=name.startswith("tiny-"),
            step="\n",
        )
    if name.startswith(("replay", "simulated")):
        return Features(greedy=False)
    return Features(revise=_think_again, judge=_is_it_right, step="\n\n")


def equipped(purse: Purse, tasks: Mapping[str, Task], **settings: Any) -> Workbench:
    """A workbench that knows what each model of the purse offers; `settings` are its others."""
    known = {name: features(name) for name in purse.backends}
    return Workbench(
        purse,
        tasks,
        scorers={n: f.scorer for n, f in known.items() if f.scorer},
        greedy=frozenset(n for n, f in known.items() if f.greedy),
        stop={n: f.stop for n, f in known.items()},
        revise={n: f.revise for n, f in known.items() if f.revise},
        judge={n: f.judge for n, f in known.items() if f.judge},
        keeps=frozenset(n for n, f in known.items() if f.keeps),
        steps={n: f.step for n, f in known.items() if f.step},
        read={n: f.read for n, f in known.items() if f.read},
        max_tokens={n: f.max_tokens for n, f in known.items() if f.max_tokens},
        **settings,
    )


def _think_again(said: str) -> str:
    return said.rstrip() + "\nWait, let me check this again from the start.\n"


def _is_it_right(said: str) -> str:
    return said.rstrip() + "\n\nIs the answer above right or wrong? In one word: "
