"""Whose request is served next where many share servers: `QUEUEING[name]()` makes a discipline.

base.py    what a discipline sees and says
flows.py   the queues themselves and their virtual time, for whoever runs them
simple.py  first come, first served; equal shares
uwfq.py    fair between users, whatever they split their work into
"""

from collections.abc import Callable

from bursar.policies.queueing.base import Discipline, Flow
from bursar.policies.queueing.flows import Entry, Flows
from bursar.policies.queueing.simple import EqualShares, FirstCome
from bursar.policies.queueing.uwfq import UWFQ

QUEUEING: dict[str, Callable[[], Discipline]] = {
    "first_come": FirstCome,
    "equal_shares": EqualShares,
    "uwfq": UWFQ,
}
"""Name -> what makes the discipline."""

__all__ = ["QUEUEING", "UWFQ", "Discipline", "Entry", "EqualShares", "FirstCome", "Flow", "Flows"]
