"""Which instances to rent, how to run them, and what they carry: the planner behind `bursar plan`.

capacity     what one instance carries within a latency goal
candidates   the deployments of a model that are worth considering
"""

from bursar.fleet.candidates import Candidate, candidates, deployments, loads
from bursar.fleet.capacity import Capacity, Goal, capacity

__all__ = ["Candidate", "Capacity", "Goal", "candidates", "capacity", "deployments", "loads"]
