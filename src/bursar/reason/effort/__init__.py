"""Effort by question: start at a low dial, go up where the answer is in doubt.

A dial setting is a model of its own (`bursar.backends.effort.Dialled`), so `auto` chooses among
settings by price as it does among models. `EffortLadder` is the fixed strategy beside it. On the
built-in dials effort pays for sampled attempts only: LOG.md, "Effort dials".
"""

from bursar.reason.effort.ladder import EffortLadder

__all__ = ["EffortLadder"]
