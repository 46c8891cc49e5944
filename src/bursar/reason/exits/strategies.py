"""The strategies that steer a model while it writes, by name; all need a model that can be."""

from collections.abc import Callable

from bursar.reason.base import Strategy
from bursar.reason.exits.anytime import best_so_far
from bursar.reason.exits.budget_guidance import BudgetGuidance, predictor_of
from bursar.reason.exits.forced_answer import ForcedAnswer
from bursar.reason.exits.lynx import MAX_TOKENS, ROUNDS, Lynx
from bursar.reason.exits.self_checks import SelfChecks
from bursar.reason.exits.texts import SteeredTexts, last_answer

EXITS: dict[str, Callable[[], Strategy]] = {
    "self_checks": lambda: SteeredTexts(
        "self_checks", lambda _: SelfChecks(ROUNDS), MAX_TOKENS, last_answer
    ),
    "lynx": lambda: SteeredTexts(
        "lynx", lambda model: SelfChecks(ROUNDS, Lynx().rule(model)), MAX_TOKENS, last_answer
    ),
    "anytime": lambda: SteeredTexts(
        "anytime",
        lambda _: ForcedAnswer(SelfChecks(ROUNDS)),
        MAX_TOKENS,
        best_so_far,
        share=True,
    ),
    "budget_guidance": lambda: SteeredTexts(
        "budget_guidance",
        lambda model: ForcedAnswer(BudgetGuidance(predictor_of(model))),
        MAX_TOKENS,
        last_answer,
        share=True,
    ),
}
"""Name -> what makes the strategy."""
