"""Which instances to rent, how to run them, and what they carry: the planner behind `bursar plan`.

kinds        the lengths of a trace in boxes, with rates
capacity     what one instance carries within a latency goal
candidates   the deployments of a model that are worth considering
market       spot instances and hosted APIs
mix          a fleet of several types, simulated
stretch      traffic that lasts long against a request
planned      a fleet and what the simulator found of it
search       how full instances may be
settings     how its instances batch: chunk size, most jobs and policy
power_cap    devices under a power cap
splitwise    prompts and answers on pools of their own, within limits
apex         fleets of one kind by cost, latency and energy
plan         the planner
recommend    which instance, when it is not sure how many users one carries
confidence   how sure a plan is, and what to measure
commands     command lines and manifests
"""

from bursar.fleet.candidates import Candidate, candidates, deployments, loads
from bursar.fleet.capacity import Capacity, Goal, capacity
from bursar.fleet.plan import FleetPlans, Request, plan_fleet
from bursar.fleet.recommend import Recommendation, recommend
from bursar.fleet.splitwise import Split, best_split, splits

__all__ = [
    "Candidate",
    "Capacity",
    "FleetPlans",
    "Goal",
    "Recommendation",
    "Request",
    "Split",
    "best_split",
    "candidates",
    "capacity",
    "deployments",
    "loads",
    "plan_fleet",
    "recommend",
    "splits",
]
