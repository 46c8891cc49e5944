"""How many users one instance carries within latency limits, learned from other models' servers.

instance   what a model on so many devices is, from its config and datasheet
law        time to the first token and between tokens, by number of users
fit        the law's coefficients from measured servers
analogues  what instances with a like prediction really carried
"""

from bursar.cost.users.analogues import Analogues
from bursar.cost.users.fit import MeasuredUsers, fit_users
from bursar.cost.users.instance import Instance, instance_of
from bursar.cost.users.law import Limits, UsersLaw, carried_by

__all__ = [
    "Analogues",
    "Instance",
    "Limits",
    "MeasuredUsers",
    "UsersLaw",
    "carried_by",
    "fit_users",
    "instance_of",
]
