"""How the operations of one batch are laid over one device, so that few units wait.

base       a batch in nano-batches, as operations on a shared device
nanoflow   searches their sizes and units
waves      a device whose matrices run in waves, and two splits woven
halves     no split and even halves; tokenweave   a split that counts waves
"""

from collections.abc import Callable

from bursar.allocate.overlap.base import (
    SEQUENTIAL,
    Schedule,
    layers_of,
    operations_of,
    seconds_of,
)
from bursar.allocate.overlap.halves import Halves, Whole
from bursar.allocate.overlap.nanoflow import NanoFlow
from bursar.allocate.overlap.tokenweave import TokenWeave
from bursar.allocate.overlap.waves import TokenSplit, WaveDevice

TOKEN_SPLITS: dict[str, Callable[[], TokenSplit]] = {
    "whole": Whole,
    "halves": Halves,
    "tokenweave": TokenWeave,
}
"""Name -> what makes the split with its usual settings."""

__all__ = [
    "SEQUENTIAL",
    "TOKEN_SPLITS",
    "Halves",
    "NanoFlow",
    "Schedule",
    "TokenSplit",
    "TokenWeave",
    "WaveDevice",
    "Whole",
    "layers_of",
    "operations_of",
    "seconds_of",
]
