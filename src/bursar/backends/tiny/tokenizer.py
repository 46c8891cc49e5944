"""The built-in models' vocabulary: a token per number 0-99, operators, cells, task words, verdicts.

Whole numbers are single tokens because digit-by-digit arithmetic was clearly worse at this size.
Text is cut greedily, longest piece first, so decoding is plain concatenation, and whatever the
model says can be read back (`100`, which no task writes, becomes `10` and `0`). A document is
`prompt + completion + <eos>`; no `<bos>` goes before it.
"""

import re
from collections.abc import Iterable

from bursar.errors import BadInput
from bursar.workload.tasks.verdicts import REVISE_MARKER, RIGHT, revised

__all__ = ["EFFORT_WORDS", "REVISE_MARKER", "RIGHT", "Tokenizer", "revised"]

_SPECIALS = ("<pad>", "<bos>", "<eos>")
_WORDS = ("chain ", "countdown ", "sudoku ", RIGHT, REVISE_MARKER.strip())
_SIGNS = ("\n", "+", "-", "*", "/", "=", ">", "#", ",", "(", ")", "_", " ")
_CELLS = tuple("abcdefghijklmnop")
EFFORT_WORDS = ("effort ", "low ", "medium ", "high ")
"""Added later, on ids that were free: a prompt of a model with a dial begins with these."""
_PIECES = (*_SPECIALS, *(str(n) for n in range(100)), *_SIGNS, *_CELLS, *_WORDS, *EFFORT_WORDS)
_CUT = re.compile("|".join(map(re.escape, (*_WORDS, *EFFORT_WORDS))) + r"|[1-9]?\d|(?s:.)")


class Tokenizer:
    """Text <-> token ids, exact both ways for every text that the built-in tasks make."""

    pad_id, bos_id, eos_id = 0, 1, 2

    def __init__(self) -> None:
        self._ids = {piece: i for i, piece in enumerate(_PIECES)}
        self.newline_id = self._ids["\n"]

    @property
    def size(self) -> int:
        """Number of ids; rounded up to a multiple of 8 for the matrix product."""
        return -(-len(_PIECES) // 8) * 8

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`. Raises `BadInput` on the first piece outside the vocabulary."""
        ids = self._ids
        try:
            return [ids[piece] for piece in _CUT.findall(text)]
        except KeyError as error:
            raise BadInput(
                f"{error.args[0]!r} is not in the built-in model's vocabulary; it reads only the "
                "prompts of chain, countdown and sudoku4 (numbers 0-99): use another backend"
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`; specials and unused ids are left out."""
        return "".join(_PIECES[i] for i in ids if len(_SPECIALS) <= i < len(_PIECES))
