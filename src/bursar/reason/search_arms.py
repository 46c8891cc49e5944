"""Search arms: whole searches that `auto` may buy for a question instead of one more attempt.

A beam goes on rising where samples have long agreed on what they get wrong. Where a checker may be
asked, attempts are cheaper and as good: neither backtracking nor REBASE paid there (LOG.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bursar.reason.base import Strategy, Work
from bursar.reason.search import Beam, StepSearch
from bursar.reason.workbench import Workbench
from bursar.value.answer_belief import AnswerLaw


@dataclass(frozen=True, slots=True)
class SearchArm:
    """A search as an arm. `suits`: where it does more than sampling would. `edge`: by how much
    its chance is taken to be above one attempt's, in logits, until it was tried."""

    strategy: Strategy
    suits: Callable[[Work, Workbench], bool]
    edge: float


def can_step(work: Work, bench: Workbench) -> bool:
    """Whether steps can be bought of a model that holds what it said, and no checker is there to
    tell good attempts from bad ones for less."""
    model = bench.backends[0]
    return model in bench.keeps and model in bench.steps and not bench.checker_at_hand(work)


SEARCH_ARMS: Mapping[str, SearchArm] = {
    "beam": SearchArm(StepSearch("beam", Beam, width=4, passes=1), can_step, 1.0),
}


def with_searches(law: AnswerLaw, backends: tuple[str, ...]) -> AnswerLaw:
    """`law`, which is of the models among `backends`, with what is taken of the searches, last."""
    edges = [SEARCH_ARMS[name].edge for name in backends if name in SEARCH_ARMS]
    return AnswerLaw(
        mean=(*law.mean, *(law.mean[0] + edge for edge in edges)),
        slope=(*law.slope, *(law.slope[0] for _ in edges)),
        spread=(*law.spread, *(law.spread[0] for _ in edges)),
        alphas=law.alphas,
        trust=law.trust,
        questions=law.questions,
    )
