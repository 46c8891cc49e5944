"""The built-in model: weights in the package, a NumPy engine, no torch."""

from bursar.backends.tiny.backend import TinyBackend, open_tiny, tiny_dials, tiny_sizes
from bursar.backends.tiny.fusion import FusedRun
from bursar.backends.tiny.tokenizer import Tokenizer

__all__ = ["FusedRun", "TinyBackend", "Tokenizer", "open_tiny", "tiny_dials", "tiny_sizes"]
