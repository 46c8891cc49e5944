"""What the built-in models with an effort dial read: `effort high ` or `effort 10 ` and the prompt.

`config.json` says under "efforts" what a model was trained with: "modes" (low, medium, high) or
"fractions" (twentieths, 5 to 20, of what the question takes without a dial).
"""

import re
from collections import Counter

from bursar.backends.base import Effort
from bursar.errors import BadInput
from bursar.workload.tasks.verdicts import RIGHT

SHARES = {"low": 0.25, "medium": 0.5, "high": 1.0}
"""What a mode means on a dial of fractions."""
_TWENTIETHS = range(5, 21)
_ANSWER = re.compile(r"^#\d+", re.MULTILINE)


def effort_words(name: str, efforts: str, effort: Effort) -> str:
    """What goes before the prompt. Raises `BadInput` for an effort that the model can't follow."""
    if efforts == "modes" and effort in SHARES:
        return f"effort {effort} "
    if efforts == "fractions":
        twentieths = round(20 * (SHARES[effort] if isinstance(effort, str) else effort))
        if twentieths in _TWENTIETHS:
            return f"effort {twentieths} "
    can = {"modes": "low, medium or high", "fractions": "0.25 to 1, or low, medium or high"}
    raise BadInput(
        f"{name} can't follow effort {effort}; "
        + (f"it takes {can[efforts]}" if efforts else "use tiny-dial or tiny-e1, or leave it out")
    )


def settled(text: str) -> str:
    """A text of several rounds, ended with the answer that most of them state.

    Of equals it is the first: the model's first rounds are right more often. Readers of answers
    take what is stated last.
    """
    answers = _ANSWER.findall(text)
    if not answers:
        return text
    (best, _), *_ = Counter(answers).most_common(1)
    body = text.removesuffix(RIGHT)
    return body + ("" if body.endswith("\n") else "\n") + f"{best}\n{RIGHT}"
