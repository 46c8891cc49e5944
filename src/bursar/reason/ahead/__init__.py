"""Ahead of time: spending before the questions come.

sleep_time   facts of a context, worked out offline, shorten every question about it
growth       a spreading growth, whose parameters are asked for
lookup       the most similar of many runs made beforehand; MCMC beside it
"""

from bursar.reason.ahead.growth import Growth
from bursar.reason.ahead.lookup import RunDatabase, metropolis
from bursar.reason.ahead.sleep_time import (
    Context,
    Fact,
    Notes,
    SleepTime,
    WithNotes,
    break_even_queries,
    recall_prefix,
    recall_text,
)

__all__ = [
    "Context",
    "Fact",
    "Growth",
    "Notes",
    "RunDatabase",
    "SleepTime",
    "WithNotes",
    "break_even_queries",
    "metropolis",
    "recall_prefix",
    "recall_text",
]
