"""How fast a row of servers may run: `POWER[name]()` makes a policy. All are pure."""

from collections.abc import Callable

from bursar.policies.power.base import FULL, Clocks, PowerPolicy, PowerState
from bursar.policies.power.polca import Polca
from bursar.policies.power.simple import AllAtOnce, Uncapped

POWER: dict[str, Callable[[], PowerPolicy]] = {
    "uncapped": Uncapped,
    "all_at_once": AllAtOnce,
    "polca": Polca,
}
"""Name -> what makes the policy with its usual settings."""

__all__ = [
    "FULL",
    "POWER",
    "AllAtOnce",
    "Clocks",
    "Polca",
    "PowerPolicy",
    "PowerState",
    "Uncapped",
]
