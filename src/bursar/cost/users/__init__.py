"""How many users one instance carries within latency limits, learned from other models' servers.

instance   what a model on so many devices is, from its config and datasheet
law        time to the first token and between tokens, by number of users
fit        the law's coefficients from measured servers
analogues  what instances with a like prediction really carried
residuals  what the law leaves over, from instances that are built alike
unseen     both pooled: users that instances of a model never measured carry
"""

from bursar.cost.users.analogues import Analogues
from bursar.cost.users.fit import MeasuredUsers, fit_users
from bursar.cost.users.instance import Instance, instance_of
from bursar.cost.users.law import Limits, UsersLaw, carried_by
from bursar.cost.users.residuals import Residuals
from bursar.cost.users.unseen import carried_measured, carried_unseen

__all__ = [
    "Analogues",
    "Instance",
    "Limits",
    "MeasuredUsers",
    "Residuals",
    "UsersLaw",
    "carried_by",
    "carried_measured",
    "carried_unseen",
    "fit_users",
    "instance_of",
]
