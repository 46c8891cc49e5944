"""Predicts what work uses: a step on devices, a request, a hosted call, repeated sampling.

deployment     a model on devices (calibration: what its predicted times rest on)
work           FLOPs and bytes of a step (layer_work: operator by operator, in a layer's order)
step           its seconds, energy and rent; tables: from measured operators
memory         whether it fits
request        one request in a server (endtoend: times to and between its tokens)
users          how many users an instance carries
shared_device  operations that share a device's units, memory and link
allreduce      what it sends, and how long over slow links
speculative    a draft model beside it: the best length of its drafts, and what they gain
hosted, quote  what an API charges; costs as plain data
kinetics       repeated sampling
idealized      a request alone on uniform hardware
long_context   users and switching, from the size of the cache
agent_work     operators of an agent's graph
moe_lens       a mixture of experts in the CPU's memory
supernode      experts spread over hundreds of dies
"""

from bursar.cost.deployment import DATASHEET, MEASURED, Deployment, Efficiency
from bursar.cost.hosted import hosted_cost
from bursar.cost.idealized import IdealizedRuntime
from bursar.cost.kinetics import Kinetics, KineticsCost, overtaking_length
from bursar.cost.long_context import LongContext, Peak
from bursar.cost.memory import Memory, max_sequences, memory_bytes, require_fit
from bursar.cost.quote import quote_api, quote_device
from bursar.cost.request import RequestCost, request_cost
from bursar.cost.speculative import Speculation
from bursar.cost.step import Step, StepCost, Steps, joules, step_arrays, step_cost, usage_of
from bursar.cost.supernode import CLOUDMATRIX384, Supernode
from bursar.cost.work import kv_cache_bytes

__all__ = [
    "CLOUDMATRIX384",
    "DATASHEET",
    "MEASURED",
    "Deployment",
    "Efficiency",
    "IdealizedRuntime",
    "Kinetics",
    "KineticsCost",
    "LongContext",
    "Memory",
    "Peak",
    "RequestCost",
    "Speculation",
    "Step",
    "StepCost",
    "Steps",
    "Supernode",
    "hosted_cost",
    "joules",
    "kv_cache_bytes",
    "max_sequences",
    "memory_bytes",
    "overtaking_length",
    "quote_api",
    "quote_device",
    "request_cost",
    "require_fit",
    "step_arrays",
    "step_cost",
    "usage_of",
]
