"""Which experts tokens went to: routing traces, and the one recorded from the built-in model."""

from bursar.workload.expert_routing.trace import RoutingTrace, recorded

__all__ = ["RoutingTrace", "recorded"]
