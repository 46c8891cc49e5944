"""UWFQ: whoever would finish first if every user had a fair share of the servers goes next.

Paper: Dāvis Kažemaks, Laurens Versluis, Burcu Kulahcioglu Ozkan, Jérémie Decouchant, "Balancing
    Fairness and Performance in Multi-User Spark Workloads with Dynamic Scheduling (extended
    version)", 2025, arXiv:2510.15485; the user-weighted fair queueing part.
Symbols: virtual finish time F = S + L / w -> virtual_time + head_cost / weight.
Differs: a user's virtual time is counted when a request is served and not when it comes (the same
    for requests in order, and it leaves room for priorities and for costs that turn out otherwise);
    a newcomer starts where the one served last began (start-time fair queueing); requests are not
    partitioned at run time, they are what they are; urgent requests go first, of whichever user.
Checked: tests/papers/test_uwfq.py: beside a user of many large jobs, small jobs' mean response is
    at least 40 % below that of first come first served and of a fair share for each job (there 96 %
    and 57-60 %), and a user's share stays 0.5 when the same work is split into eight jobs, where
    fair shares for jobs let it grow to 0.89. Users being the flows is what brings it: equal shares
    for users, without finish times, are within 4 %.
Seed: 187
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bursar.policies.queueing.base import Flow
from bursar.price import Price


@dataclass(frozen=True, slots=True)
class UWFQ:
    """The first request with the least virtual finish time, among the most urgent."""

    def decide(self, flows: Sequence[Flow], now: float, price: Price) -> int:
        """See `Discipline.decide`."""
        best, least = 0, (0, 0.0)
        for place, flow in enumerate(flows):
            key = (-flow.head_priority, flow.virtual_time + flow.head_cost / flow.weight)
            if not place or key < least:
                best, least = place, key
        return best
