"""Stopping and steering: rules that end a text or a vote early, and steers that set its length."""

from bursar.reason.exits.budget_guidance import BudgetGuidance
from bursar.reason.exits.forced_answer import ForcedAnswer
from bursar.reason.exits.lynx import Lynx
from bursar.reason.exits.posterior_voting import PosteriorVoting
from bursar.reason.exits.self_checks import SelfChecks
from bursar.reason.exits.strategies import EXITS
from bursar.reason.exits.texts import SteeredTexts

__all__ = [
    "EXITS",
    "BudgetGuidance",
    "ForcedAnswer",
    "Lynx",
    "PosteriorVoting",
    "SelfChecks",
    "SteeredTexts",
]
