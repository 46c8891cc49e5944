"""Where each call of a multi-stage query runs, and how urgently: `WORKFLOWS[name]()`."""

from collections.abc import Callable

from bursar.policies.workflows.base import (
    Call,
    Dispatch,
    Lengths,
    RoundRobinCalls,
    WorkflowPolicy,
    WorkflowState,
)
from bursar.policies.workflows.hexgen_text2sql import HexGenText2Sql

WORKFLOWS: dict[str, Callable[[], WorkflowPolicy]] = {
    "round_robin": RoundRobinCalls,
    "hexgen_text2sql": HexGenText2Sql,
}
"""Name -> what makes the policy with its usual settings."""

__all__ = [
    "WORKFLOWS",
    "Call",
    "Dispatch",
    "HexGenText2Sql",
    "Lengths",
    "RoundRobinCalls",
    "WorkflowPolicy",
    "WorkflowState",
]
