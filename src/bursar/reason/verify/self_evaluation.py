"""Self-evaluation: a model says whether an attempt is right, and how sure it is of that word.

Paper: Kadavath et al., "Language Models (Mostly) Know What They Know", 2022, arXiv:2207.05221;
  section 3, P(True).
Symbols: P(True) -> score, the probability of the verdict `right`.
Differs: the words are `right` and `wrong`; the verdict is one word without a reasoning of its own;
  only the word that was said has a known probability, the other one gets the rest.
Checked: tests/papers/test_self_evaluation.py: on Countdown the built-in model's verdicts tell right
  from wrong, on chains and sudoku they do not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bursar.backends.base import Completion, Request
from bursar.backends.draws import whole_number
from bursar.errors import BadInput
from bursar.reason.base import Work
from bursar.reason.purse import Call
from bursar.reason.workbench import Workbench


@dataclass(frozen=True, slots=True)
class SelfEvaluation:
    """The verdict of `backend` (None: of the model that made the attempt).

    At `temperature` 0 the score is the probability of `right`; above it a verdict is sampled and
    the score is 1 or 0, so that asking again means something.
    """

    backend: str | None = None
    temperature: float = 0.0
    max_tokens: int = 1

    def asks(self, work: Work, attempt: int, sample: int, bench: Workbench) -> Call | None:
        """One word after the attempt's text; nothing of an attempt that states no answer."""
        made = work.attempts[attempt]
        if made.answer is None:
            return None
        judge = self.backend or made.arm.backend
        if judge not in bench.judge:
            raise BadInput(
                f"{judge} can't judge attempts; choose another verifier or another strategy, such "
                "as self_consistency"
            )
        request = Request(
            prompt=work.question.prompt,
            prefix=bench.judge[judge](made.text),
            max_tokens=self.max_tokens,
            question_id=work.question.id,
            # else it would draw the very number that the attempt drew at this place
            sample=whole_number("verdict", made.arm.name, attempt, sample),
            temperature=self.temperature,
            seed=bench.seed,
        )
        return Call(judge, request)

    def reads(
        self, work: Work, attempt: int, sample: int, said: Completion | None, bench: Workbench
    ) -> float | None:
        """0 of an attempt without an answer; None when what was said is no verdict."""
        if said is None:
            return 0.0
        word = said.text.strip().lower()
        if not word.startswith(("right", "wrong")):
            return None
        right = word.startswith("right")
        if self.temperature > 0 or said.logprobs is None:
            return float(right)
        sure = math.exp(float(said.logprobs[0]))
        return sure if right else 1.0 - sure
