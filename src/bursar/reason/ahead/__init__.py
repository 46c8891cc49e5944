"""Ahead of time: spending before the questions come.

sleep_time   facts of a context, worked out offline, shorten every question about it
"""

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
    "Notes",
    "SleepTime",
    "WithNotes",
    "break_even_queries",
    "recall_prefix",
    "recall_text",
]
