"""Compositions of inference techniques, and the search for a good one under a call budget."""

from bursar.reason.compose.archon import Archon, Found
from bursar.reason.compose.bag_of_tricks import TRICKS, BagOfTricks
from bursar.reason.compose.composition import WEIGHTS, Composition
from bursar.reason.compose.layers import Fuse, Generate, Layer, Rank, Verify

__all__ = [
    "TRICKS",
    "WEIGHTS",
    "Archon",
    "BagOfTricks",
    "Composition",
    "Found",
    "Fuse",
    "Generate",
    "Layer",
    "Rank",
    "Verify",
]
