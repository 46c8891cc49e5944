"""How long prompts and answers are: as a trace had them, or lognormal; capped if asked."""

from bursar.workload.traces.lengths.base import Capped, Lengths
from bursar.workload.traces.lengths.empirical import EmpiricalLengths
from bursar.workload.traces.lengths.lognormal import LognormalLengths

LENGTHS: dict[str, type[Lengths]] = {
    "empirical": EmpiricalLengths,
    "lognormal": LognormalLengths,
}
"""Name -> distribution."""

__all__ = ["LENGTHS", "Capped", "EmpiricalLengths", "Lengths", "LognormalLengths"]
