"""Splitting one question: sub-problems in order, and how much to spend on which.

base       what a part and a splitter are
chains     chains fall into products and partial sums
prompted   a language model names the parts and rates them
scale      easy parts once, hard parts with many attempts
"""

from bursar.reason.split.base import Part, Splitter
from bursar.reason.split.chains import ChainSplitter
from bursar.reason.split.prompted import PromptedSplitter
from bursar.reason.split.scale import RATERS, Scale

__all__ = ["RATERS", "ChainSplitter", "Part", "PromptedSplitter", "Scale", "Splitter"]
