"""When requests come: arrival processes, from steady to bursty to daily. `ARRIVALS` names them."""

from bursar.workload.traces.arrivals.base import Arrivals
from bursar.workload.traces.arrivals.diurnal import Hourly, Sinusoidal
from bursar.workload.traces.arrivals.gamma import Gamma
from bursar.workload.traces.arrivals.on_off import OnOff
from bursar.workload.traces.arrivals.poisson import Poisson

ARRIVALS: dict[str, type[Arrivals]] = {
    "poisson": Poisson,
    "gamma": Gamma,
    "on_off": OnOff,
    "sinusoidal": Sinusoidal,
    "hourly": Hourly,
}
"""Name -> process."""

__all__ = ["ARRIVALS", "Arrivals", "Gamma", "Hourly", "OnOff", "Poisson", "Sinusoidal"]
