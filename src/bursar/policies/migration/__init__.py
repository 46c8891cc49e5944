"""Which running jobs move to another replica. All are pure."""

from bursar.policies.migration.base import MigrationPolicy, MigrationState, Move
from bursar.policies.migration.llumnix import Freeness, FreenessRange, Freest, Llumnix

__all__ = [
    "Freeness",
    "FreenessRange",
    "Freest",
    "Llumnix",
    "MigrationPolicy",
    "MigrationState",
    "Move",
]
