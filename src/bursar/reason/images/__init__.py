"""What spends a purse on pictures. `POINT_PAINTERS` names those that draw points with a flow."""

from bursar.reason.images.base import Drawing, Painter, Studio, Wish
from bursar.reason.images.best_of_n import BestOfN
from bursar.reason.images.rewards import Near, Noisy
from bursar.reason.images.rollover import RolloverBudgetForcing
from bursar.reason.images.ttsnap import TTSnap

__all__ = [
    "POINT_PAINTERS",
    "BestOfN",
    "Drawing",
    "Near",
    "Noisy",
    "Painter",
    "RolloverBudgetForcing",
    "Studio",
    "TTSnap",
    "Wish",
]

POINT_PAINTERS: dict[str, Painter] = {
    "best_of_n": BestOfN(),
    "fixed_quota": RolloverBudgetForcing(rollover=False),
    "rollover": RolloverBudgetForcing(),
    "ttsnap": TTSnap(),
}
"""Name -> painter of points."""
