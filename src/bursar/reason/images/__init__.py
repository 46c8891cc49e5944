"""What spends a purse on pictures.

`POINT_PAINTERS` names those that draw points with a flow, `SCALE_PAINTERS` those that draw small
pictures scale by scale.
"""

from bursar.reason.images.base import Drawing, Painter, Studio, Wish
from bursar.reason.images.best_of_n import BestOfN
from bursar.reason.images.rewards import Near, Noisy
from bursar.reason.images.rollover import RolloverBudgetForcing
from bursar.reason.images.scale_paths import ScalePainter
from bursar.reason.images.scenes import Shows
from bursar.reason.images.tts_var import exchanged, tts_var
from bursar.reason.images.ttsnap import TTSnap

__all__ = [
    "POINT_PAINTERS",
    "SCALE_PAINTERS",
    "BestOfN",
    "Drawing",
    "Near",
    "Noisy",
    "Painter",
    "RolloverBudgetForcing",
    "ScalePainter",
    "Shows",
    "Studio",
    "TTSnap",
    "Wish",
    "exchanged",
    "tts_var",
]

POINT_PAINTERS: dict[str, Painter] = {
    "best_of_n": BestOfN(),
    "fixed_quota": RolloverBudgetForcing(rollover=False),
    "rollover": RolloverBudgetForcing(),
    "ttsnap": TTSnap(),
}
"""Name -> painter of points."""

SCALE_PAINTERS: dict[str, Painter] = {
    "best_of_n": ScalePainter(),
    "tts_var": tts_var(),
}
"""Name -> painter of small pictures."""
