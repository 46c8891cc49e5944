"""Two built-in models, one that drafts and one that decides: the target's texts in fewer calls.

cache      passes over several sequences, each with a tree of candidates after its text
tree       a tree of draft tokens; what draws one
iid_trees  siblings drawn independently; a chain is plain speculative decoding
rsd        siblings drawn without replacement
verify     which draws are kept
spec_memo  trees that fit a memory budget
decoder    rounds of drafting and judging
backend    as a backend
"""

from bursar.backends.speculative.backend import SHAPES, SpeculativeBackend, open_speculative
from bursar.backends.speculative.decoder import SpeculativeDecoder, Spoken
from bursar.backends.speculative.iid_trees import IndependentTree
from bursar.backends.speculative.rsd import RsdC, RsdS
from bursar.backends.speculative.spec_memo import Footprint, SpecMemo, kept_by_place
from bursar.backends.speculative.tree import DraftTree, Shape

__all__ = [
    "SHAPES",
    "DraftTree",
    "Footprint",
    "IndependentTree",
    "RsdC",
    "RsdS",
    "Shape",
    "SpecMemo",
    "SpeculativeBackend",
    "SpeculativeDecoder",
    "Spoken",
    "kept_by_place",
    "open_speculative",
]
