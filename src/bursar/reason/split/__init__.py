"""Splitting one question: sub-problems in order, and how much to spend on which.

base       what a part and a splitter are
chains     chains fall into products and partial sums
prompted   a language model names the parts and rates them
driver     parts in order, each with the attempts its effort says
scale, plan_and_budget     such efforts: by difficulty, by a token budget
dynaicl    demonstrations for each input, under one token budget
"""

from bursar.reason.split.base import Part, Splitter
from bursar.reason.split.chains import ChainSplitter
from bursar.reason.split.driver import Effort, SplitAndSolve
from bursar.reason.split.dynaicl import MetaController, ask_with
from bursar.reason.split.plan_and_budget import (
    DECAYS,
    PlanAndBudget,
    SubQuestions,
    scheduled,
)
from bursar.reason.split.prompted import PromptedSplitter
from bursar.reason.split.scale import RATERS, Scale

__all__ = [
    "DECAYS",
    "RATERS",
    "ChainSplitter",
    "Effort",
    "MetaController",
    "Part",
    "PlanAndBudget",
    "PromptedSplitter",
    "Scale",
    "SplitAndSolve",
    "Splitter",
    "SubQuestions",
    "ask_with",
    "scheduled",
]
