"""One device that runs prompts and decodes at once, each in a lane with a part of its units.

serve    `simulate_partitioned` for a trace
engine   two lanes over one KV cache
lane     one lane's steps
"""

from bursar.simulate.partitioned.lane import LaneStep
from bursar.simulate.partitioned.serve import PartitionedRun, simulate_partitioned

__all__ = ["LaneStep", "PartitionedRun", "simulate_partitioned"]
