"""Chains solved several times in one text: what a model with an effort dial is first trained on.

    effort medium chain 37*54+53
    37*54=58>58+53
    58+53=14
    #14
    37*54=58>58+53
    58+53=14
    #14
    right

The answer of such a text is the commonest it states (`backends/tiny/dial.py`): a model of this size
that had to state it itself lost half of what the rounds were worth. Some rounds hold a slip, never
learnt (as in `traces`).
"""

import random
from collections.abc import Callable

from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.training.thinkdial import ROUNDS
from bursar.training.traces import CONTEXT, Document, chain_attempt
from bursar.workload.tasks import chain
from bursar.workload.tasks.split import split_of
from bursar.workload.tasks.verdicts import RIGHT

LEVELS = ((1, 2, 3, 4, 5, 6, 7, 8), (1, 1, 1, 1, 1.5, 2, 2, 3))
SLIPS = 0.25
"""Share of rounds with a slip, in texts of several."""
_TOKENIZER = Tokenizer()


def draw_chain(rng: random.Random) -> list[str]:
    """A chain of the train split."""
    while True:
        pieces = chain.draw_expression(rng, rng.choices(*LEVELS)[0])
        if split_of(chain.canonical(pieces)) == "train":
            return pieces


def mode_document(rng: random.Random, decisions: bool = False) -> Document:
    """A text of a mode, or without an effort, which is High's."""
    mode = rng.choice((*ROUNDS, None))
    words = f"effort {mode} " if mode else ""
    return rounds_document(rng, words, lambda _: ROUNDS[mode or "high"], decisions=decisions)


def dial_document(
    rng: random.Random, decisions: bool = False, tokens: float | None = None
) -> Document:
    """A text of a dial, or, one in five, without: as many of High's rounds as the dial's share.

    `tokens`, for a dial of absolute lengths: the dial's share of so many, whatever the chain.
    """
    if rng.random() < 0.2:
        return rounds_document(rng, "", lambda _: ROUNDS["high"], decisions=decisions)
    twentieths = rng.randint(5, 20)

    def rounds(one: int) -> int:
        full = ROUNDS["high"] if tokens is None else tokens / one
        return max(1, round(twentieths / 20 * full))

    return rounds_document(rng, f"effort {twentieths} ", rounds, decisions=decisions)


def rounds_document(
    rng: random.Random, effort: str, rounds: Callable[[int], int], *, decisions: bool = False
) -> Document:
    """A chain solved as often as `rounds` says of the tokens that once takes.

    Two that disagree are followed by a third. No more rounds than the context has room for. With
    `decisions` it is learnt whether to go on after an answer, and of the rounds about one: without
    any the model unlearnt its arithmetic.
    """
    pieces = draw_chain(rng)
    document: Document = [(f"{effort}chain {''.join(pieces)}\n", False)]
    once = _tokens(chain_attempt(rng, pieces, slip=False))
    wanted, most = rounds(once), (CONTEXT - _tokens(document) - 2) // once
    answers: list[str] = []
    while len(answers) < min(wanted, most):
        one = chain_attempt(rng, pieces, slip=wanted > 1 and rng.random() < SLIPS)
        document += _first_token(one) if decisions and rng.random() > 1 / wanted else one
        answers.append(one[-1][0])
        if len(answers) == wanted == len(set(answers)) == 2:
            wanted = 3
    return [*document, (RIGHT, True)]


def _first_token(attempt: Document) -> Document:
    """The same, with no more of it learnt than that it begins."""
    (text, _), *rest = attempt
    first = _TOKENIZER.decode(_TOKENIZER.encode(text)[:1])
    return [(first, True), (text.removeprefix(first), False), *((part, False) for part, _ in rest)]


def _tokens(document: Document) -> int:
    return sum(len(_TOKENIZER.encode(text)) for text, _ in document)
