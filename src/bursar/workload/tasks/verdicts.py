"""Verdicts: how one text holds several attempts, in every built-in task.

An attempt ends with `right`, which ends the text, or with `wrong`, after which the next begins.
"""

RIGHT = "right"
"""The verdict that ends a text."""
REVISE_MARKER = "wrong\n"
"""The verdict after which the model tries again. Append it to a finished attempt (see `revised`) to
force another one: the built-in models were trained on texts with up to 8 failed rounds."""


def revised(text: str) -> str:
    """`text` with its closing verdict, if any, turned into `REVISE_MARKER`, to go on from."""
    return without_verdict(text) + REVISE_MARKER


def without_verdict(text: str) -> str:
    """`text` up to its closing verdict, if any: where the next thing to say is a verdict."""
    body = text.removesuffix(RIGHT).removesuffix(REVISE_MARKER)
    return body if body.endswith("\n") else body + "\n"


def current_lines(text: str) -> list[str]:
    """The lines of the last attempt, without its verdict: none when it is called wrong.

    Only these can hold an answer: what the model took back, it does not state.
    """
    last = (text + "\n" if text.endswith(REVISE_MARKER.strip()) else text).split(REVISE_MARKER)[-1]
    return [line for line in last.splitlines() if line.strip() not in ("", RIGHT)]
