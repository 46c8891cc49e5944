"""In which order requests that are all there are served: `ORDERING[name]()` makes an order.

An order is a column for `Trace.priority`, so every batching policy can serve it.
"""

from collections.abc import Callable

from bursar.policies.ordering.base import ArrivalOrder, Order
from bursar.policies.ordering.batch_llm import BatchLLM

ORDERING: dict[str, Callable[[], Order]] = {"arrival": ArrivalOrder, "batch_llm": BatchLLM}
"""Name -> what makes the order."""

__all__ = ["ORDERING", "ArrivalOrder", "BatchLLM", "Order"]
